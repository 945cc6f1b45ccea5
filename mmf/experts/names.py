"""Names of the experts there are, apart from their code: a configuration needs no networks."""

EXPERTS = ("trend", "range", "stress", "cnn")
