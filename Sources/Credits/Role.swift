/// What an address is paid for. The order is the waterfall's: operators first, treasury last.
public enum Role: String, Hashable, Sendable, CaseIterable, Comparable {
  case `operator`
  case infrastructure
  case treasury

  private var rank: Int {
    switch self {
    case .operator: 0
    case .infrastructure: 1
    case .treasury: 2
    }
  }

  public static func < (left: Role, right: Role) -> Bool { left.rank < right.rank }
}

/// One value a role.
public struct ByRole<Value> {
  public var `operator`: Value
  public var infrastructure: Value
  public var treasury: Value

  public init(operator: Value, infrastructure: Value, treasury: Value) {
    self.operator = `operator`
    self.infrastructure = infrastructure
    self.treasury = treasury
  }

  /// The same value for every role.
  public init(repeating value: Value) {
    self.init(operator: value, infrastructure: value, treasury: value)
  }

  public subscript(role: Role) -> Value {
    get {
      switch role {
      case .operator: `operator`
      case .infrastructure: infrastructure
      case .treasury: treasury
      }
    }
    set {
      switch role {
      case .operator: `operator` = newValue
      case .infrastructure: infrastructure = newValue
      case .treasury: treasury = newValue
      }
    }
  }
}

extension ByRole: Equatable where Value: Equatable {}
extension ByRole: Hashable where Value: Hashable {}
extension ByRole: Sendable where Value: Sendable {}
