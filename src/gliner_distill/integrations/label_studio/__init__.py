"""The machine learning backend of Label Studio: `app.create_app` makes it."""
