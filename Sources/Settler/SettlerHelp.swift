import Service

/// What `settler --help` and `settler COMMAND --help` say.
enum SettlerHelp {
  private struct Command {
    let word: String
    let usage: String
    let about: String
    /// How many words it takes, its own included.
    var words = 2
    var signs = false
  }

  private static let commands = [
    Command(
      word: "split",
      usage: """
        settler split set --operators BP --treasury BP --infrastructure BP --treasury-wallet ADDR
                          --infrastructure-wallet ADDR [--fallback-to infrastructure|treasury] [--from T]
        settler split list
        """,
      about: """
        How usage payments are shared, in basis points that add up to 10000. The split in force when an epoch opens holds for all
        of it. T is RFC 3339; without it the split holds from now on (the first one: always). --fallback-to names who gets the operators' part of what project hardware served.
        """),
    Command(
      word: "epoch",
      usage: "settler epoch list | epoch close",
      about: """
        close cuts the open epoch, opens the next one, and adds up the one that was cut. Run again after a failure, it finishes
        the same epoch and does not close another.
        """),
    Command(
      word: "plan",
      usage: """
        settler plan E KEY [--min-payout PRLX] [--min-charge PRLX] [--max-fee GWEI] [--max-gas N] [--expires 7d] [--again]
        """,
      about: """
        Makes, signs and stores the manifest of a closed epoch: who is charged and who may be paid how much. It spends nothing.
        KEY is the planner's. Planning again shows the stored plan; --again replaces it and voids its approvals.
        """, signs: true),
    Command(
      word: "show", usage: "settler show E",
      about: "An epoch: its sums, manifest, payees, charges, transactions, and what it waits for."),
    Command(
      word: "approve",
      usage:
        "settler approve E --manifest HASH KEY | approve E --export FILE | approve E --import FILE",
      about: """
        Builds the manifest again from the ledger and signs it (EIP-712) if it is the one you name. KEY is an approver's. --export
        writes what another wallet signs; --import takes it back.
        """, signs: true),
    Command(
      word: "revoke", usage: "settler revoke E KEY",
      about: "Takes back the approval of this key, as long as nothing was sent.", signs: true),
    Command(
      word: "cancel", usage: "settler cancel E --reason TEXT",
      about:
        "Cancels an epoch of which nothing was sent. What it accrued stays owed and is in the next plan."
    ),
    Command(
      word: "run", usage: "settler run E KEY [--wait final|sent] [--timeout D]",
      about: """
        Charges, waits until that is final, pays, and waits until the epoch is final. KEY is the settler's. Stop it at any moment
        and run it again: it goes on where it was. SIGTERM and Ctrl-C end it between two steps, with exit code 3.
        """, signs: true),
    Command(
      word: "resume", usage: "settler resume KEY [--wait final|sent] [--timeout D]",
      about: "The same as run, for the epoch that is approved or under way.", words: 1, signs: true),
    Command(
      word: "hold", usage: "settler hold ADDR --reason TEXT",
      about: "Keeps a payee out of the next plans. What it is owed is kept and listed."),
    Command(
      word: "unhold", usage: "settler unhold ADDR", about: "Ends a hold."),
    Command(
      word: "holds", usage: "settler holds", about: "The payees that are held, and why.", words: 1),
    Command(
      word: "report", usage: "settler report E [--html FILE] [--csv FILE] [--explorer URL]",
      about:
        "An epoch's report as a page, as a table, or as text. --explorer makes links of transactions."
    ),
    Command(
      word: "key",
      usage: "settler key new FILE [PASSWORD] | key import FILE [PASSWORD] | key address KEY",
      about: """
        new makes a key, import takes a raw one (64 hexadecimal digits, from stdin or typed unseen); both write it to FILE, a
        keystore v3 that must not exist yet, and print its address. address opens a key and prints its address.
        Without the file and its password what the key controls is lost: keep copies of both, in two places.
        """,
      // It counts its words itself: an error must not repeat a key that was typed among them.
      words: .max, signs: true),
  ]

  private static let keys = """
    KEY is --key FILE [PASSWORD]: a keystore v3 (Web3 Secret Storage; scrypt or pbkdf2), or a raw hex key with mode 0600.
    PASSWORD is --password-file FILE (mode 0600) or --password-fd N; without one the terminal is asked.
    """

  private static let common = """
    --json prints one JSON object. Variables, each also a flag: DATABASE_URL, RPC_URL, SEND_URL, QUORUM, CHAIN_ID, VAULT_ADDRESS,
    SETTLER_ADDRESS, APPROVERS, APPROVALS_REQUIRED.
    Exit codes: 0 done, 1 failed or halted, 2 wrong usage, 3 not yet (time is up or stopped; safe to run again).
    """

  /// - Parameter word: a command; nil is all of them.
  static func text(for word: String?) throws(UsageError) -> String {
    guard let word else {
      let usages = commands.map { indented($0.usage) }.joined(separator: "\n")
      return """
        settler: closes epochs, plans, approves and sends their settlement, and follows it until final.

        \(usages)

        \(keys)
        \(common)
        settler COMMAND --help says more.
        """
    }
    guard let command = commands.first(where: { $0.word == word }) else { throw noCommand(word) }
    return [indented(command.usage) + "\n", command.about, command.signs ? keys : "", common]
      .filter { !$0.isEmpty }.joined(separator: "\n")
  }

  /// How many words a command takes.
  static func words(of word: String) throws(UsageError) -> Int {
    guard let command = commands.first(where: { $0.word == word }) else { throw noCommand(word) }
    return command.words
  }

  static func noCommand(_ word: String) -> UsageError { UsageError("there is no command \(word)") }

  private static func indented(_ text: String) -> String {
    text.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
  }
}
