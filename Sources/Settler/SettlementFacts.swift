import Credits
import Ethereum

/// Everything that an epoch's manifest is made from, as of one block and one epoch.
///
/// Read in one snapshot (`LedgerReader`). Rows that appear later do not change it: events are counted up to the
/// planned block, lines up to the epoch. So whoever holds the same ledger builds the same manifest.
struct SettlementFacts: Equatable, Sendable {
  /// What a user has spent and what the vault has taken of it.
  struct User: Equatable, Sendable {
    let account: Address
    /// Σ (debits − refunds) over the epochs up to this one.
    let spent: SignedWei
    /// Σ final `Charged` up to the planned block.
    let charged: UInt256
  }

  /// What an address has earned and been paid.
  struct Payee: Equatable, Sendable {
    let address: Address
    let accruedInEpoch: ByRole<SignedWei>
    /// Over the epochs up to this one.
    let accruedEver: ByRole<SignedWei>
    /// Σ final `Paid` up to the planned block.
    let paid: UInt256
  }

  /// An operator's line of the epoch as the ledger stored it; nil is the fallback.
  struct OperatorLine: Equatable, Sendable {
    let wallet: Address?
    let gross: SignedWei
    let carryIn: SignedWei
    let share: SignedWei
  }

  let ledger: Hash32
  let method: Manifest.Method
  let chainID: UInt64
  let vault: Address
  let token: Address
  let epoch: UInt64
  /// The manifest of the last settled epoch before this one.
  let predecessor: Hash32?
  let plannedAt: Manifest.BlockReference
  let split: Split
  let gross: SignedWei
  let totals: ByRole<SignedWei>
  let users: [User]
  let payees: [Payee]
  let operatorLines: [OperatorLine]
  /// Held payees, and why.
  let held: [Address: String]

  /// The same facts with other held payees: what was held when a plan was made, for a plan under way.
  func holding(_ held: [Address: String]) -> SettlementFacts {
    SettlementFacts(
      ledger: ledger, method: method, chainID: chainID, vault: vault, token: token, epoch: epoch,
      predecessor: predecessor, plannedAt: plannedAt, split: split, gross: gross, totals: totals,
      users: users, payees: payees, operatorLines: operatorLines, held: held)
  }
}
