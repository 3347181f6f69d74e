import Keccak

/// Prints how many messages of SIZE bytes Keccak-256 hashes in a second, measured over SECONDS.
/// Usage: bench-keccak SIZE SECONDS

let words = CommandLine.arguments
guard words.count == 3, let size = Int(words[1]), size >= 0, let seconds = Double(words[2]) else {
  fatalError("usage: bench-keccak SIZE SECONDS")
}
var message = [UInt8](repeating: 0, count: size)
let clock = ContinuousClock()
let start = clock.now
let group = max(1, 4_000 / (1 + size / 136))
var hashed = 0
var spent = Duration.zero
repeat {
  for _ in 0..<group {
    // Each message depends on the hash before it, so that none can be left out.
    let digest = Keccak256.hash(message)
    if size > 0 { message[0] = digest.withUnsafeBytes { $0[0] } }
  }
  hashed += group
  spent = clock.now - start
} while spent < .seconds(seconds)
print(Double(hashed) / (spent / .seconds(1)))
