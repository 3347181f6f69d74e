// Shared by the test targets: a database, a chain, a Python helper.
