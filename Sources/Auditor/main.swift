print("auditor: not built yet")
