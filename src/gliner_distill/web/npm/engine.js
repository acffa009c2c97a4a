export class LocalEngine {}
