import Service

await Program.run("indexer") { words, environment in
  try await IndexerProgram.run(words, environment)
}
