import Credits
import Ethereum

/// Why the settler stopped: what, the value, and what to do.
enum SettlerError: Error, Equatable {
  case noSuchEpoch(UInt64)
  case unknownWord(String, String)
  case notTallied(UInt64)
  case fenceBusy
  case vaultNotFollowed(UInt64, Address)
  case noFinalBlock
  case negativePool(SignedWei)
  case notAVault(call: String, bytes: Int)
  case wrongChain(configured: UInt64, endpoint: UInt64)
  case noCode(Address)
  case vaultSettler(vault: Address, configured: Address)
  case ledgerDiffersFromChain(block: UInt64, [String])
  case noPlan(UInt64)
  case alteredManifest(stored: Hash32, computed: Hash32)
  case manifestDiffers([String])
  case otherManifest(asked: Hash32, current: Hash32)
  case notAnApprover(Address)
  case notApproved(UInt64, by: Address)
  case alteredTransaction(nonce: UInt64, String)
  case alteredPayouts(String)
  case wrongState(UInt64, EpochRow.State, wanted: String)
  case otherKey(found: Address, wanted: Address)
  case accountBusy(latest: UInt64, pending: UInt64)
  case accountUsedElsewhere(chain: UInt64, ledger: UInt64)
  case chainBehindLedger(chain: UInt64, ledger: UInt64)
  case cannotSimulate(kind: String, chunk: Int, String)
  case chunkTooLarge(kind: String, chunk: Int, gas: UInt64, allowed: UInt64)
  case tooManyTransactions(allowed: Int)
  case gasMoney(has: UInt256, needs: UInt256, open: Int)
  case halted(String)
  case anotherSettler
  case nothingInFlight
  case badValue(option: String, value: String, wanted: String)
  case transferMethod
}

extension SettlerError: CustomStringConvertible {
  var description: String {
    switch self {
    case .noSuchEpoch(let epoch): "there is no epoch \(epoch); settler epoch list shows them"
    case .unknownWord(let column, let word):
      "the ledger says \(column) “\(word)”, which this release does not know; use the release that migrated it"
    case .notTallied(let epoch): "epoch \(epoch) is not added up yet; run settler epoch close"
    case .fenceBusy:
      "spending did not leave room for the cut within a minute; nothing was changed, run settler epoch close again"
    case .vaultNotFollowed(let chain, let vault):
      "no indexer follows vault \(vault) on chain \(chain) in this ledger; check CHAIN_ID and VAULT_ADDRESS, then run indexer sync"
    case .noFinalBlock:
      "the indexer has no proven and final block yet; run indexer sync and try again"
    case .negativePool(let pool):
      "by the ledger the vault's pool is \(pool) wei; run auditor reconcile"
    case .notAVault(let call, let bytes):
      "the vault answered \(call) with \(bytes) bytes; check VAULT_ADDRESS, only the reference vault is known"
    case .wrongChain(let configured, let endpoint):
      "the endpoint serves chain \(endpoint), configured is \(configured); check RPC_URL and CHAIN_ID"
    case .noCode(let address): "there is no contract at \(address); check VAULT_ADDRESS"
    case .vaultSettler(let vault, let configured):
      "the vault takes settlements from \(vault), this host signs as \(configured); check SETTLER_ADDRESS"
    case .ledgerDiffersFromChain(let block, let lines):
      "at block \(block) the ledger and the chain differ; nothing was sent, run auditor reconcile:\n  "
        + lines.joined(separator: "\n  ")
    case .noPlan(let epoch): "epoch \(epoch) has no plan; run settler plan \(epoch)"
    case .alteredManifest(let stored, let computed):
      "the stored manifest's bytes hash to \(computed), its row says \(stored); the row was altered, plan --again"
    case .manifestDiffers(let lines):
      "the plan is not what this ledger gives; nothing was signed. settler plan --again makes a new one:\n  "
        + lines.joined(separator: "\n  ")
    case .otherManifest(let asked, let current):
      "the epoch's manifest is \(current), asked was \(asked); look at settler show, then name the one you mean"
    case .notAnApprover(let address):
      "\(address) is not in APPROVERS of this host; give an approver's --key"
    case .notApproved(let epoch, let address):
      "\(address) has not approved the plan of epoch \(epoch); there is nothing to revoke"
    case .alteredTransaction(let nonce, let what):
      "the stored transaction with nonce \(nonce) \(what); the row was altered, nothing was sent"
    case .alteredPayouts(let what):
      "the stored payouts are not what the waterfall gives (\(what)); rows were altered, nothing was signed"
    case .wrongState(let epoch, let state, let wanted):
      "epoch \(epoch) is \(state.rawValue), not \(wanted); settler show \(epoch) says what can be done"
    case .otherKey(let found, let wanted):
      "the key is that of \(found), needed is \(wanted); give the right --key"
    case .accountBusy(let latest, let pending):
      "the settlement account has \(latest) mined and \(pending) pending transactions before our first;"
        + " wait until none is pending, and use the account for nothing else"
    case .accountUsedElsewhere(let chain, let ledger):
      "the settlement account's next nonce is \(chain) on chain, \(ledger) in the ledger; it was used elsewhere,"
        + " or this ledger is a restored backup. Nothing was sent"
    case .chainBehindLedger(let chain, let ledger):
      "the settlement account's nonce is \(chain) on chain although nonce \(ledger) is final in the ledger;"
        + " check RPC_URL. Nothing was sent"
    case .cannotSimulate(let kind, let chunk, let why):
      "\(kind) \(chunk) would fail (\(why)); no nonce was given out and nothing was sent"
    case .chunkTooLarge(let kind, let chunk, let gas, let allowed):
      "\(kind) \(chunk) needs \(gas) gas, the manifest allows \(allowed); nothing was sent"
    case .tooManyTransactions(let allowed):
      "the manifest allows \(allowed) transactions and they are used up; nothing more is signed"
    case .gasMoney(let has, let needs, let open):
      "the settlement account has \(PRLX.text(has)) ETH, \(open) open transactions may cost \(PRLX.text(needs)) ETH;"
        + " send it some and run again"
    case .halted(let why): why
    case .anotherSettler: "another settler is running on this ledger; one sender at a time"
    case .nothingInFlight: "no epoch is approved or being sent; settler epoch list shows them"
    case .badValue(let option, let value, let wanted):
      "\(option) is “\(value)”; \(wanted)"
    case .transferMethod:
      "this ledger pays by token transfers, which this release does not send yet"
    }
  }
}
