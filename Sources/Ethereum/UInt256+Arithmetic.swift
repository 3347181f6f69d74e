extension UInt256 {
  public func addingReportingOverflow(_ other: UInt256) -> (partialValue: UInt256, overflow: Bool) {
    var result = FourWords(repeating: 0)
    var carry = false
    for index in 0..<4 {
      let (sum, first) = limbs[index].addingReportingOverflow(other.limbs[index])
      let (total, second) = sum.addingReportingOverflow(carry ? 1 : 0)
      result[index] = total
      carry = first || second
    }
    return (UInt256(limbs: result), carry)
  }

  public func subtractingReportingOverflow(
    _ other: UInt256
  ) -> (partialValue: UInt256, overflow: Bool) {
    var result = FourWords(repeating: 0)
    var borrow = false
    for index in 0..<4 {
      let (difference, first) = limbs[index].subtractingReportingOverflow(other.limbs[index])
      let (total, second) = difference.subtractingReportingOverflow(borrow ? 1 : 0)
      result[index] = total
      borrow = first || second
    }
    return (UInt256(limbs: result), borrow)
  }

  public func adding(_ other: UInt256) throws(ArithmeticError) -> UInt256 {
    let (sum, overflow) = addingReportingOverflow(other)
    guard !overflow else { throw .overflow }
    return sum
  }

  public func subtracting(_ other: UInt256) throws(ArithmeticError) -> UInt256 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    guard !overflow else { throw .belowZero }
    return difference
  }

  public func multiplied(by other: UInt256) throws(ArithmeticError) -> UInt256 {
    let (high, low) = multipliedFullWidth(by: other)
    guard high == .zero else { throw .overflow }
    return low
  }

  /// The 512-bit product.
  public func multipliedFullWidth(by other: UInt256) -> (high: UInt256, low: UInt256) {
    var product: [8 of UInt64] = .init(repeating: 0)
    for left in 0..<4 {
      var carry: UInt64 = 0
      for right in 0..<4 {
        // At most (2^64-1)^2 + 2 (2^64-1) = 2^128-1: it always fits.
        let (high, low) = limbs[left].multipliedFullWidth(by: other.limbs[right])
        let (first, overflowed) = low.addingReportingOverflow(product[left + right])
        let (second, again) = first.addingReportingOverflow(carry)
        product[left + right] = second
        carry = high &+ (overflowed ? 1 : 0) &+ (again ? 1 : 0)
      }
      product[left + 4] = carry
    }
    return (
      UInt256(limbs: FourWords(product[4], product[5], product[6], product[7])),
      UInt256(limbs: FourWords(product[0], product[1], product[2], product[3]))
    )
  }

  public func quotientAndRemainder(
    dividingBy divisor: UInt256
  ) throws(ArithmeticError) -> (quotient: UInt256, remainder: UInt256) {
    try UInt256.divide(high: .zero, low: self, by: divisor)
  }

  /// self × factor ÷ divisor over the 512-bit product, rounded down, and what is left.
  public func multiplied(
    by factor: UInt256, dividedBy divisor: UInt256
  ) throws(ArithmeticError) -> (quotient: UInt256, remainder: UInt256) {
    let (high, low) = multipliedFullWidth(by: factor)
    return try UInt256.divide(high: high, low: low, by: divisor)
  }

  func dividedByWord(_ divisor: UInt64) -> (quotient: UInt256, remainder: UInt64) {
    var quotient = FourWords(repeating: 0)
    var remainder: UInt64 = 0
    for index in stride(from: 3, through: 0, by: -1) {
      (quotient[index], remainder) = divisor.dividingFullWidth((remainder, limbs[index]))
    }
    return (UInt256(limbs: quotient), remainder)
  }

  /// Shift-and-subtract over 512 bits: plain, and only settlement uses it.
  private static func divide(
    high: UInt256, low: UInt256, by divisor: UInt256
  ) throws(ArithmeticError) -> (quotient: UInt256, remainder: UInt256) {
    guard divisor != .zero else { throw .divisionByZero }
    guard high < divisor else { throw .overflow }
    if high == .zero, let word = UInt64(exactly: divisor) {
      let (quotient, remainder) = low.dividedByWord(word)
      return (quotient, UInt256(remainder))
    }
    var remainder = high
    var quotient = UInt256.zero
    // While the remainder is zero, zeros in front of `low` leave it so.
    let first = high == .zero ? low.bitWidth - 1 : 255
    for bit in stride(from: first, through: 0, by: -1) {
      // remainder < divisor, so doubling it loses at most one bit, which then decides the comparison.
      let carried = remainder.limbs[3] >> 63 == 1
      remainder = remainder.doubled(adding: low.limbs[bit / 64] >> UInt64(bit % 64) & 1)
      if carried || remainder >= divisor {
        remainder = remainder.subtractingReportingOverflow(divisor).partialValue
        quotient.limbs[bit / 64] |= 1 << UInt64(bit % 64)
      }
    }
    return (quotient, remainder)
  }

  private func doubled(adding bit: UInt64) -> UInt256 {
    var result = FourWords(repeating: 0)
    result[0] = limbs[0] << 1 | bit
    for index in 1..<4 { result[index] = limbs[index] << 1 | limbs[index - 1] >> 63 }
    return UInt256(limbs: result)
  }
}
