import CPostgres

/// A statement's parameters as the arrays that PQexecParams and PQsendQueryParams read.
struct PostgresParameters {
  private(set) var types: [Oid] = []
  private(set) var lengths: [Int32] = []
  private(set) var formats: [Int32] = []
  /// All values, one after the other, each with a closing zero: libpq wants it after text, and an empty value needs an
  /// address, or it would be null.
  private var storage: [UInt8] = []
  private var offsets: [Int?] = []

  /// The type of bytes is said, not inferred: where a text is due, raw bytes would be read as one. It converts to every domain
  /// over bytea. The number is fixed in PostgreSQL's pg_type.dat.
  private static let bytea: Oid = 17
  /// Of the wire protocol, whose Bind message counts parameters in 16 bits.
  private static let most = 65535

  init(_ values: [PostgresValue]) throws(PostgresError) {
    guard values.count <= Self.most else {
      throw .misuse("\(values.count) parameters in a statement, which can have \(Self.most)")
    }
    for value in values {
      let start = storage.count
      let isBinary: Bool
      if case .bytes(let bytes) = value {
        isBinary = true
        storage.append(contentsOf: bytes)
      } else {
        isBinary = false
        try value.appendText(to: &storage)
      }
      guard let length = Int32(exactly: storage.count - start) else {
        throw .misuse("a parameter of \(storage.count - start) bytes; PostgreSQL takes 1 GB")
      }
      storage.append(0)
      offsets.append(value == .null ? nil : start)
      types.append(isBinary ? Self.bytea : 0)
      formats.append(isBinary ? 1 : 0)
      lengths.append(length)
    }
  }

  var count: Int32 { Int32(offsets.count) }

  /// Gives the addresses of the values, which are valid while `body` runs.
  func withValues<Result>(_ body: ([UnsafePointer<CChar>?]) -> Result) -> Result {
    unsafe storage.withUnsafeBufferPointer { bytes in
      unsafe bytes.withMemoryRebound(to: CChar.self) { characters in
        unsafe body(
          offsets.map { offset in
            unsafe offset.flatMap { unsafe characters.baseAddress?.advanced(by: $0) }
          })
      }
    }
  }
}
