"""The same job on other frameworks; README.md says what each is given and must do."""
