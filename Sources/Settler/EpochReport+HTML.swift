import Credits
import Ethereum

extension EpochReport {
  /// A page that needs nothing else: styles and charts are in it, it prints well and obeys a dark desktop.
  var html: String {
    let epoch = view.epoch
    return """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>Epoch \(epoch.epoch) · ParalleliX credits</title>
      <style>\(Self.style)</style>
      </head>
      <body>
      <header>
      <p class="kicker">ParalleliX credits · settlement report</p>
      <h1>Epoch \(epoch.epoch) <span class="state">\(epoch.state.rawValue)</span></h1>
      <p>\(escape(epoch.openedAt)) to \(escape(epoch.closedAt ?? "now"))\(manifestLine)</p>
      </header>
      \(figures)
      <section class="charts">
      <figure>\(splitChart)<figcaption>Where the gross goes</figcaption></figure>
      <figure>\(fallbackChart)<figcaption>Requests served by operators and by project hardware</figcaption></figure>
      </section>
      \(payeesTable)
      \(chargesSection)
      \(heldTable)
      \(exceptionsSection)
      \(transactionsTable)
      <footer><p>Amounts are PRLX, exact to the wei. The CSV of this report carries wei. <code>auditor reconcile</code> shows that the ledger is what the chain says.</p></footer>
      </body>
      </html>

      """
  }

  private var manifestLine: String {
    guard let manifest = view.manifest else { return "" }
    let approvals = approvers.map { "<code>\($0.checksummed)</code>" }.joined(separator: ", ")
    return "<br>manifest <code>\(manifest.hex)</code>"
      + (approvals.isEmpty ? "" : "<br>approved by \(approvals)")
  }

  private var figures: String {
    let paid = view.payees.reduce(UInt256.zero) { $0.addingReportingOverflow($1.paid).partialValue }
    let cells: [(String, String)] = [
      ("Gross", amount(view.epoch.gross)),
      ("Operators", amount(view.epoch.totals.operator)),
      ("Treasury", amount(view.epoch.totals.treasury)),
      ("Infrastructure", amount(view.epoch.totals.infrastructure)),
      ("Collected of \(amount(view.charges.planned))", amount(view.charges.collected)),
      ("Paid", amount(paid)),
      ("Carried, owed and not paid", amount(view.carried)),
      ("Spent and not yet charged, now", amount(exposure)),
    ]
    let items = cells.map { "<div><dt>\($0.0)</dt><dd>\($0.1)</dd></div>" }
    return "<dl class=\"figures\">\(items.joined(separator: "\n"))</dl>"
  }

  private var payeesTable: String {
    let served = Dictionary(
      work.compactMap { line in line.wallet.map { ($0, line) } },
      uniquingKeysWith: { first, _ in first })
    var rows = view.payees.map { line in
      let work = line.role == .operator ? served[line.payee] : nil
      return [
        "<code>\(line.payee.checksummed)</code>", line.role.rawValue,
        work.map { grouped($0.requests) } ?? "–",
        work.map { tokens($0) } ?? "–",
        amount(line.accrued), amount(line.owed), amount(line.paid),
      ]
    }
    rows += work.filter { $0.wallet == nil }.map { line in
      [
        "project hardware (fallback)", "in \(split.fallbackTo.rawValue)", grouped(line.requests),
        tokens(line), amount(line.share), "–", "–",
      ]
    }
    return section(
      "Payees",
      table(
        ["Payee", "Role", "Requests", "Tokens in / out", "Accrued", "Owed", "Paid"], rows,
        texts: 2))
  }

  private var chargesSection: String {
    let intro =
      "<p>\(view.charges.count) users charged for \(amount(view.charges.planned)) PRLX;"
      + " \(amount(view.charges.collected)) collected.</p>"
    guard !shortfalls.isEmpty else { return section("Charges", intro) }
    let rows = shortfalls.map { line in
      [
        "<code>\(line.user.checksummed)</code>", amount(line.spent), amount(line.charged),
        amount((try? line.spent.subtracting(line.charged)) ?? .zero),
      ]
    }
    return section(
      "Charges",
      intro
        + "<h3>Shortfalls</h3><p>Withdrawn before the charge. Carried, and healed by a later one.</p>"
        + table(["User", "Spent ever", "Charged ever", "Short"], rows, texts: 1))
  }

  private var heldTable: String {
    guard !view.held.isEmpty else { return "" }
    let rows = view.held.map {
      ["<code>\($0.payee.checksummed)</code>", escape($0.reason), amount($0.owed)]
    }
    return section("Held back", table(["Payee", "Reason", "Owed and kept"], rows, texts: 2))
  }

  private var exceptionsSection: String {
    let receivables = work.filter { !$0.carryOut.isZero }.map {
      [
        $0.wallet.map { "<code>\($0.checksummed)</code>" } ?? "project hardware",
        amount($0.carryOut),
      ]
    }
    return section(
      "Late, unpaid and refunded",
      "<p>\(late.count) late items of \(amount(late.sum)) PRLX are counted here."
        + " \(uncollected.count) requests of \(amount(uncollected.sum)) PRLX were served and not paid for.</p>"
        + (receivables.isEmpty
          ? "" : table(["Refunds exceed work", "Carried"], receivables, texts: 1)))
  }

  private var transactionsTable: String {
    guard !view.transactions.isEmpty else { return "" }
    let rows = view.transactions.map { line in
      let hash = line.hash?.hex ?? "–"
      let link = explorer.map { "<a href=\"\(escape($0))/tx/\(hash)\"><code>\(hash)</code></a>" }
      return [
        link ?? "<code>\(hash)</code>", line.kind, line.state.rawValue, "\(line.nonce)",
        line.outcomeBlock.map { "\($0)" } ?? "–", line.gasUsed.map { "\($0)" } ?? "–",
      ]
    }
    return section(
      "Transactions", table(["Hash", "Kind", "State", "Nonce", "Block", "Gas"], rows, texts: 3))
  }

  // MARK: Charts

  private var splitChart: String {
    bar([
      ("operators", share(view.epoch.totals.operator), "a"),
      ("treasury", share(view.epoch.totals.treasury), "b"),
      ("infrastructure", share(view.epoch.totals.infrastructure), "c"),
    ])
  }

  private var fallbackChart: String {
    let fallback = fallbackShareBasisPoints
    let any = work.contains { $0.requests > 0 }
    return bar([("operators", any ? 10_000 - fallback : 0, "a"), ("fallback", fallback, "d")])
  }

  /// Hundredths of a percent of the gross, rounded; 0 where there is none or it is negative.
  private func share(_ part: SignedWei) -> Int64 {
    guard !view.epoch.gross.isNegative, !view.epoch.gross.isZero, !part.isNegative,
      let twice = try? part.magnitude.multiplied(
        by: UInt256(20_000), dividedBy: view.epoch.gross.magnitude
      ).quotient,
      let points = UInt64(exactly: twice)
    else { return 0 }
    return Int64(clamping: points / 2 + points % 2)
  }

  private func bar(_ parts: [(name: String, basisPoints: Int64, style: String)]) -> String {
    var x: Int64 = 0
    var shapes = ""
    var legend = ""
    for (index, part) in parts.enumerated() {
      // 600 units are the whole.
      let width = part.basisPoints * 600 / 10_000
      shapes +=
        "<rect x=\"\(x)\" y=\"0\" width=\"\(width)\" height=\"28\" class=\"\(part.style)\"/>"
      let left = index * 200
      legend +=
        "<rect x=\"\(left)\" y=\"40\" width=\"12\" height=\"12\" class=\"\(part.style)\"/>"
        + "<text x=\"\(left + 18)\" y=\"50\">\(part.name) \(percent(part.basisPoints))</text>"
      x += width
    }
    let label = parts.map { "\($0.name) \(percent($0.basisPoints))" }.joined(separator: ", ")
    return "<svg viewBox=\"0 0 600 58\" role=\"img\" aria-label=\"\(label)\">"
      + "<rect x=\"0\" y=\"0\" width=\"600\" height=\"28\" class=\"none\"/>\(shapes)\(legend)</svg>"
  }

  private func percent(_ basisPoints: Int64) -> String {
    let decimals = basisPoints % 100
    return "\(basisPoints / 100).\(decimals < 10 ? "0" : "")\(decimals) %"
  }

  // MARK: Pieces

  private func section(_ title: String, _ body: String) -> String {
    "<section><h2>\(title)</h2>\(body)</section>"
  }

  /// - Parameter texts: how many columns from the left are words; the others are figures.
  private func table(_ head: [String], _ rows: [[String]], texts: Int) -> String {
    guard !rows.isEmpty else { return "<p>None.</p>" }
    func cells(_ row: [String], _ tag: String) -> String {
      row.enumerated().map { index, cell in
        "<\(tag)\(index < texts ? "" : " class=\"n\"")>\(cell)</\(tag)>"
      }.joined()
    }
    let body = rows.map { "<tr>\(cells($0, "td"))</tr>" }.joined(separator: "\n")
    return "<div class=\"scroll\"><table><thead><tr>\(cells(head, "th"))</tr></thead>"
      + "<tbody>\(body)</tbody></table></div>"
  }

  private func amount(_ wei: UInt256) -> String { PRLX.text(wei) }
  private func amount(_ wei: SignedWei) -> String { PRLX.text(wei) }

  private func tokens(_ work: Work) -> String {
    "\(grouped(work.inputTokens)) / \(grouped(work.outputTokens))"
  }

  private func grouped(_ number: Int64) -> String { grouped("\(number)") }

  private func grouped(_ number: String) -> String {
    let digits = Array(escape(number))
    return String(
      digits.enumerated().flatMap { index, digit in
        index > 0 && (digits.count - index) % 3 == 0 && digits[index - 1] != "-"
          ? ["\u{202F}", digit] : [digit]
      })
  }

  private func escape(_ text: String) -> String {
    // By scalars: browsers see a quote also where a combining mark after it makes another Character of both.
    text.unicodeScalars.reduce(into: "") { result, scalar in
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(scalar)
      }
    }
  }

  private static let style = """
    :root { color-scheme: light dark; --text: #1c2126; --soft: #5c6670; --line: #d8dde2; --ground: #fff; --a: #2f6fde; --b: #8a55c9; --c: #1d9a6c; --d: #d98218; --none: #e9edf0 }
    @media (prefers-color-scheme: dark) { :root { --text: #e6eaee; --soft: #98a3ad; --line: #333c45; --ground: #14181c; --a: #6ea0ff; --b: #b98cf0; --c: #4fcb9b; --d: #f0a550; --none: #262d34 } }
    body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem }
    h1 { margin: 0; font-size: 1.9rem } h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem } h3 { margin: 1.2rem 0 .2rem; font-size: 1rem }
    .kicker, footer, figcaption, dt { color: var(--soft) } .kicker { margin: 0 }
    .state { font-size: .9rem; font-weight: 500; border: 1px solid var(--line); border-radius: 1rem; padding: .15rem .7rem; vertical-align: middle }
    code { font: .85em ui-monospace, monospace; overflow-wrap: anywhere }
    .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin: 1.5rem 0 }
    .figures div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem } dt { font-size: .85rem } dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem } figure { margin: 0 } svg { width: 100%; height: auto } svg text { font-size: 13px; fill: var(--text) }
    .a { fill: var(--a) } .b { fill: var(--b) } .c { fill: var(--c) } .d { fill: var(--d) } .none { fill: var(--none) }
    .scroll { overflow-x: auto } table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
    th { font-size: .85rem; color: var(--soft); font-weight: 500 } .n { text-align: right; font-variant-numeric: tabular-nums }
    @media print { body { max-width: none; padding: 0; font-size: 10pt } h2, h3 { break-after: avoid } tr, figure { break-inside: avoid } a { color: inherit; text-decoration: none } }
    """
}
