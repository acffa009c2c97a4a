export function addMatches(text, entities) { return entities; }
