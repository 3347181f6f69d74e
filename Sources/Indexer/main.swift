print("indexer: not built yet")
