/** Counters of one relay since it started, for operators; gauges say what is now. */
export interface Metrics {
  /** Connections that are open now. */
  connections: number
  /** Sessions whose device has proved itself, since the start. */
  sessions: number
  /** Logs in memory now. */
  hostedLogs: number
  entriesTaken: number
  entriesRefused: number
  /** Frames with entries that were sent to readers. */
  deliveries: number
  sessionsRefused: number
  /** Lives of logs that began after a loss. */
  incarnations: number
  incidents: number
}

export function newMetrics(): Metrics {
  return {
    connections: 0,
    sessions: 0,
    hostedLogs: 0,
    entriesTaken: 0,
    entriesRefused: 0,
    deliveries: 0,
    sessionsRefused: 0,
    incarnations: 0,
    incidents: 0
  }
}
