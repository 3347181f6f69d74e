import Ethereum

/// How usage payments are divided: data with a validity, not code.
public struct Split: Hashable, Sendable {
  /// The account that the fallback's share (work on project hardware) belongs to.
  public enum FallbackRole: String, Hashable, Sendable, CaseIterable {
    case infrastructure
    case treasury

    public var role: Role {
      switch self {
      case .infrastructure: .infrastructure
      case .treasury: .treasury
      }
    }
  }

  /// Hundredths of a percent; the three sum to 10,000.
  public let operatorsBasisPoints: Int
  public let treasuryBasisPoints: Int
  public let infrastructureBasisPoints: Int
  public let treasuryWallet: Address
  public let infrastructureWallet: Address
  public let fallbackTo: FallbackRole

  /// - Throws: `SplitError` naming the field that is wrong.
  public init(
    operatorsBasisPoints: Int, treasuryBasisPoints: Int, infrastructureBasisPoints: Int,
    treasuryWallet: Address, infrastructureWallet: Address,
    fallbackTo: FallbackRole = .infrastructure
  ) throws(SplitError) {
    let parts = [operatorsBasisPoints, treasuryBasisPoints, infrastructureBasisPoints]
    guard parts.allSatisfy({ (0...10_000).contains($0) }), parts.reduce(0, +) == 10_000 else {
      throw .basisPoints(
        operators: operatorsBasisPoints, treasury: treasuryBasisPoints,
        infrastructure: infrastructureBasisPoints)
    }
    guard treasuryWallet != .zero else { throw .zeroAddress("treasury wallet") }
    guard infrastructureWallet != .zero else { throw .zeroAddress("infrastructure wallet") }
    self.operatorsBasisPoints = operatorsBasisPoints
    self.treasuryBasisPoints = treasuryBasisPoints
    self.infrastructureBasisPoints = infrastructureBasisPoints
    self.treasuryWallet = treasuryWallet
    self.infrastructureWallet = infrastructureWallet
    self.fallbackTo = fallbackTo
  }
}

/// Why a split is none.
public enum SplitError: Error, Equatable, Sendable {
  case basisPoints(operators: Int, treasury: Int, infrastructure: Int)
  case zeroAddress(String)
}

extension SplitError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .basisPoints(let operators, let treasury, let infrastructure):
      "operators \(operators) + treasury \(treasury) + infrastructure \(infrastructure) basis points"
        + " must each be 0…10000 and sum to 10000"
    case .zeroAddress(let field):
      "the \(field) is the zero address, which nobody can spend from; name a wallet"
    }
  }
}
