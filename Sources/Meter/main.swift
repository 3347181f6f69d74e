print("meter: not built yet")
