import Credits
import Ethereum
import Foundation
import JSON

/// What an approver takes to a machine with another wallet, and brings back signed.
struct ApprovalFile {
  let text: String

  init(_ approval: Approval, manifest: Manifest) {
    text = """
      {"manifest":"\(manifest.hash.hex)",
      "bytes":"\(Hex.encode(manifest.bytes))",
      "typed_data":\(approval.typedDataJSON),
      "signature":null}

      """
  }

  private static let limit = 256 << 20

  /// The manifest's hash and the signature of a file that came back.
  static func read(_ path: String) throws -> (manifest: Hash32, signature: Signature) {
    func refused(_ wanted: String) -> SettlerError {
      .badValue(option: "--import", value: path, wanted: wanted)
    }
    let data: Data
    do {
      // One byte more than allowed, to see that there is more.
      data =
        try FileHandle(forReadingFrom: URL(filePath: path)).read(upToCount: limit + 1) ?? Data()
    } catch { throw refused("a file that can be read is needed") }
    guard data.count <= limit, let json = try? JSONValue(parsing: Array(data)),
      let manifest = try? json["manifest"]?.string.map({ try Hash32(hex: $0) })
    else { throw refused("a file of approve --export is needed") }
    guard let text = json["signature"]?.string, let bytes = try? Hex.decode(text, count: 65),
      let signature = try? Signature(bytes)
    else { throw refused("its signature must be 0x and 65 bytes: sign typed_data first") }
    return (manifest, signature)
  }
}
