// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)]
// What ships also marks each use of memory that the compiler does not check.
let shipped = strict + [.strictMemorySafety()]

// The rooms and what each may import. Programs never import each other: they meet in the database.
let rooms: [Target] = [
  room("Keccak"),
  room("RLP"),
  room("JSON"),
  room("Ethereum", imports: ["Keccak", "RLP", "CSecp256k1"]),
  room("ChainRPC", imports: ["Ethereum", "RLP", "JSON", "CCurl"]),
  room("Postgres", imports: ["CPostgres"]),
  room("Credits", imports: ["Ethereum", "RLP"]),
  room("Ledger", imports: ["Postgres", "Credits", "Ethereum"]),
  room("Service"),
]

let foundation: [Target.Dependency] = [
  "Keccak", "RLP", "JSON", "Ethereum", "ChainRPC", "Postgres", "Credits", "Ledger", "Service",
]

let programs: [Target] = [
  program("Indexer"),
  program("Meter"),
  program("Settler", also: ["CCrypto"]),
  program("Auditor"),
]

let tests: [Target] = [
  .target(
    name: "TestSupport", dependencies: foundation, path: "Tests/TestSupport", swiftSettings: strict),
  test("Keccak"), test("RLP"), test("JSON"), test("Ethereum"), test("ChainRPC"), test("Postgres"),
  test("Credits"), test("Ledger"), test("Service"),
  test("Indexer", of: ["Indexer"]), test("Meter", of: ["Meter"]),
  test("Settler", of: ["Settler"]), test("Auditor", of: ["Auditor"]),
  test("EndToEnd"),
]

// What bench/run builds and times against peers.
let benches: [Target] = [
  .executableTarget(
    name: "bench-keccak", dependencies: ["Keccak"], path: "bench/keccak", swiftSettings: strict)
]

let libraries: [Target] = [
  .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
  .systemLibrary(
    name: "CSecp256k1", pkgConfig: "libsecp256k1", providers: [.apt(["libsecp256k1-dev"])]),
  .systemLibrary(
    name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
  .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
]

let package = Package(
  name: "parallelix-credits",
  products: ["Indexer", "Meter", "Settler", "Auditor"].map {
    .executable(name: $0.lowercased(), targets: [$0])
  },
  targets: libraries + rooms + programs + benches + tests
)

func room(_ name: String, imports: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: imports, swiftSettings: shipped)
}

func program(_ name: String, also: [Target.Dependency] = []) -> Target {
  .executableTarget(name: name, dependencies: foundation + also, swiftSettings: shipped)
}

func test(_ name: String, of program: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: foundation + program + ["TestSupport"],
    swiftSettings: strict)
}
