import Service

await Program.run("auditor") { arguments, environment in
  try await AuditorProgram(arguments, environment).run()
}
