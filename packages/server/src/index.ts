/** What operators and tests use of the relay; nobody inside the package imports this file. */
export type { RelayLimits, RelayOptions } from './config.ts'
export type { Metrics } from './metrics.ts'
export { type Peer, type Session, SharedFrame } from './peer.ts'
export { type Relay, startRelay } from './relay.ts'
export { type CoreOptions, RelayCore } from './relay-core.ts'
export { loadRelayKeys, type RelayKeys } from './relay-key.ts'
export { type LevelStore, openLevelStore } from './store/level-store.ts'
export { Conflict, type LogStore, type Seq, StoreCorrupt, type Stored, StoreError } from './store/log-store.ts'
