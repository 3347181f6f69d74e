extension String {
  /// The text with its control characters spelt out, as `\u001b`: the database's and the endpoints' words must not move a
  /// terminal's cursor or turn the reading direction. Line feeds stay. In JSON the spelling is the character itself.
  public var withoutControls: String { spellingControls { $0 != "\n" } }

  /// The same for what must stay one line.
  public var onOneLine: String { spellingControls { _ in true } }

  private func spellingControls(where isMeant: (Unicode.Scalar) -> Bool) -> String {
    func mustBeSpelt(_ scalar: Unicode.Scalar) -> Bool {
      switch scalar.properties.generalCategory {
      case .control: isMeant(scalar)
      case .lineSeparator, .paragraphSeparator: true
      // Of the format characters those that reorder text (Unicode, annex 9); others make emoji and Indic scripts.
      case .format: scalar.properties.isBidiControl
      default: false
      }
    }
    guard unicodeScalars.contains(where: mustBeSpelt) else { return self }
    return unicodeScalars.reduce(into: "") { text, scalar in
      guard mustBeSpelt(scalar) else { return text.unicodeScalars.append(scalar) }
      let digits = String(scalar.value, radix: 16)
      text += "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
  }
}
