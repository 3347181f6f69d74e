import Service

await Program.run("meter") { arguments, environment in
  try await MeterProgram(arguments, environment).run()
}
