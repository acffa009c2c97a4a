"""Language models as teachers, behind an endpoint that speaks OpenAI's chat completions."""
