import Foundation

/// Runs an actor's jobs on one thread of its own. libpq blocks, and a blocked thread of the cooperative pool, which is
/// only as wide as the cores, would stop everything else.
final class ThreadExecutor: SerialExecutor, @unchecked Sendable {
  // `jobs` and `isClosed` are guarded by `condition`.
  private let condition = NSCondition()
  private var jobs: [UnownedJob] = []
  private var isClosed = false

  init(name: String) {
    let thread = Thread { [self] in work() }
    thread.name = name
    thread.start()
  }

  /// Lets the thread, which keeps this object alive, end after the jobs it has.
  func close() {
    condition.withLock {
      isClosed = true
      condition.signal()
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    condition.withLock {
      jobs.append(job)
      condition.signal()
    }
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  private func work() {
    while true {
      condition.lock()
      while jobs.isEmpty, !isClosed { condition.wait() }
      let due = jobs
      jobs = []
      condition.unlock()
      guard !due.isEmpty else { return }
      for job in due { unsafe job.runSynchronously(on: asUnownedSerialExecutor()) }
    }
  }
}
