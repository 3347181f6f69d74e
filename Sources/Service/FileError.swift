import Foundation

/// A file that cannot be read or written: which, and why in the system's words.
public struct FileError: Error, Sendable, CustomStringConvertible {
  public let description: String

  /// - Parameter error: Foundation's, whose own text is for programmers.
  private init(_ doing: String, _ path: String, _ error: any Error) {
    let outer = error as NSError
    let inner = (outer.userInfo[NSUnderlyingErrorKey] as? any Error).map { $0 as NSError } ?? outer
    let why =
      inner.domain == NSPOSIXErrorDomain
      ? unsafe String(cString: strerror(Int32(clamping: inner.code))) : inner.localizedDescription
    description = "cannot \(doing) \(path): \(why)"
  }

  public static func reading<Value>(_ path: String, _ body: () throws -> Value) throws(FileError)
    -> Value
  {
    do { return try body() } catch { throw FileError("read", path, error) }
  }

  /// Writes the whole file or nothing.
  public static func write(_ text: String, to path: String) throws(FileError) {
    do {
      try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      throw FileError("write", path, error)
    }
  }
}
