import Credits
import Ethereum

/// What two manifests of one epoch differ in, in words, for whoever must decide which is right.
enum ManifestDifference {
  static func lines(stored: Manifest, rebuilt: Manifest) -> [String] {
    var lines: [String] = []
    func compare(_ name: String, _ left: some Equatable, _ right: some Equatable) {
      let (left, right) = ("\(left)", "\(right)")
      if left != right { lines.append("\(name): the plan says \(left), the ledger says \(right)") }
    }
    compare("ledger", stored.ledger, rebuilt.ledger)
    compare("chain", stored.chainID, rebuilt.chainID)
    compare("vault", stored.vault, rebuilt.vault)
    compare("token", stored.token, rebuilt.token)
    compare("method", stored.method.rawValue, rebuilt.method.rawValue)
    compare("predecessor", stored.predecessor?.hex ?? "none", rebuilt.predecessor?.hex ?? "none")
    compare("planned at", stored.plannedAt.hash, rebuilt.plannedAt.hash)
    compare("gross", PRLX.text(stored.gross), PRLX.text(rebuilt.gross))
    for role in Role.allCases {
      compare(
        "\(role.rawValue) total", PRLX.text(stored.totals[role]), PRLX.text(rebuilt.totals[role]))
    }
    if stored.split != rebuilt.split { lines.append("the split differs") }
    compareRows(
      "charge of",
      stored.charges.map {
        ($0.user, "spent \(PRLX.text($0.spent)), charged \(PRLX.text($0.charged))")
      },
      rebuilt.charges.map {
        ($0.user, "spent \(PRLX.text($0.spent)), charged \(PRLX.text($0.charged))")
      }, &lines)
    compareRows(
      "payee",
      stored.payees.map {
        (
          $0.address,
          "at most \(PRLX.text($0.maxPaid)) ever, paid before \(PRLX.text($0.paidBefore))"
        )
      },
      rebuilt.payees.map {
        (
          $0.address,
          "at most \(PRLX.text($0.maxPaid)) ever, paid before \(PRLX.text($0.paidBefore))"
        )
      }, &lines)
    compareRows(
      "held back", stored.heldBack.map { ($0.address, $0.reason) },
      rebuilt.heldBack.map { ($0.address, $0.reason) }, &lines)
    return lines.isEmpty && stored.hash != rebuilt.hash ? ["the bytes differ"] : lines
  }

  private static func compareRows(
    _ name: String, _ stored: [(Address, String)], _ rebuilt: [(Address, String)],
    _ lines: inout [String]
  ) {
    let left = Dictionary(stored) { first, _ in first }
    let right = Dictionary(rebuilt) { first, _ in first }
    for address in Set(left.keys).union(right.keys).sorted() where left[address] != right[address] {
      lines.append(
        "\(name) \(address): the plan says \(left[address] ?? "nothing"),"
          + " the ledger says \(right[address] ?? "nothing")")
    }
  }
}
