import Service

await Program.run("settler") { arguments, environment in
  try await SettlerProgram(arguments, environment, clock: SystemClock()).run()
}
