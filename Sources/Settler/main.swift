print("settler: not built yet")
