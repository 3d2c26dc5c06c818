/**
 * Every bound of the protocol: a name, a unit, a reason. A refusal names the bound that was hit.
 */

// --- Entries and frames (docs/PROTOCOL.md, Entry) ---

/** Plaintext bytes of one update. Larger edits are refused at the edit, so a relay never holds a reader for long. */
export const UPDATE_BYTES_MAX = 256 * 1024
/** Plaintext bytes of one snapshot: the largest document. What cannot be compacted later is refused at the edit. */
export const SNAPSHOT_BYTES_MAX = 8 * 1024 * 1024
/** Devices whose entries one snapshot may cover; an owner account has far fewer. */
export const COVERS_MAX = 1024
/** Payload bytes of one access entry: a rotation for MEMBERS_MAX members with room for proofs. */
export const ACCESS_BYTES_MAX = 1024 * 1024
/** Bytes of one frame: the largest entry with its frame around it. */
export const FRAME_BYTES_MAX = SNAPSHOT_BYTES_MAX + 128 * 1024
/** Bytes of one frame before a device has proved itself: strangers get no memory. */
export const STRANGER_FRAME_BYTES_MAX = 4 * 1024
/** Fragments of one WebSocket message; honest peers send one. */
export const FRAGMENTS_MAX = 16
/** Entries in one frame of a relay's. */
export const FRAME_ENTRIES_MAX = 4096
/** Entries in one `append` or `offer`, which a relay reads in one go: as many of the smallest as FRAME_BYTES_WANTED holds. */
export const REQUEST_ENTRIES_MAX = 1344
/** Entry bytes that a sender puts in one frame before it starts the next, so that frames interleave fairly. */
export const FRAME_BYTES_WANTED = 256 * 1024
/** Bytes of a refusal's sentence on the wire. */
export const SENTENCE_BYTES_MAX = 512

// --- Access (docs/PROTOCOL.md, Access) ---

/** Members of one share at a time: one rotation must fit an access entry. */
export const MEMBERS_MAX = 1000
/** Open invites of one log: each that lives on costs a seal in every rotation. */
export const INVITES_MAX = 1000
/** Uses of one invite. */
export const INVITE_USES_MAX = 1_000_000
/** Library entries in one account proof, and so of one library since its last reset: they are shown wherever it has a part. */
export const PROOF_ENTRIES_MAX = 1024
/** Bytes of those entries together: a proof must leave room in the access entry that carries it. */
export const PROOF_BYTES_MAX = 512 * 1024
/** Access entries of a library that it may have to take in a device; the rest of PROOF_ENTRIES_MAX is for putting out. */
export const LIBRARY_ENTRIES_MAX = 768
/** Bytes of those entries; the rest of PROOF_BYTES_MAX is for putting out. */
export const LIBRARY_BYTES_MAX = 384 * 1024
/** Resets of one library: each makes room for as many entries again, and a share keeps what it has folded of an account. */
export const RESETS_MAX = 32
/** Keys of epochs before it in one reset: all of those since the last one, which holds those before it. */
export const EARLIER_KEYS_MAX = 1024
/** Access entries of a share that it may have to invite or take in a member; none is ever forgotten, and each reader folds all. */
export const SHARE_ENTRIES_MAX = 64 * 1024
/** Bytes of a self-chosen name, in UTF-8, before sealing. */
export const NAME_BYTES_MAX = 200
/** Bytes of a share's title, in UTF-8. */
export const TITLE_BYTES_MAX = 400
/** Items selected into one share: each is a document of its own, and its drop stays in the log for ever. */
export const SHARE_ITEMS_MAX = 1000
/** Plaintext bytes of an invite's preview. */
export const PREVIEW_BYTES_MAX = 2048
/** Shortest lease an owner may set: an hour, or devices lock while their owner sleeps. */
export const LEASE_MS_MIN = 60 * 60 * 1000
/** Longest lease: a year. */
export const LEASE_MS_MAX = 366 * 24 * 60 * 60 * 1000
/** The lease unless the owner says otherwise: seven days. */
export const LEASE_MS_DEFAULT = 7 * 24 * 60 * 60 * 1000
/** An invite's life unless the owner says otherwise: seven days. */
export const INVITE_MS_DEFAULT = 7 * 24 * 60 * 60 * 1000
/** How often an author decides an intent anew after ACCESS_CONFLICT before it gives up. */
export const INTENT_TRIES_MAX = 8

// --- Relay (docs/PROTOCOL.md, Sessions) ---

/** Milliseconds a stranger has to prove its device. */
export const HANDSHAKE_MS_MAX = 10_000
/** Milliseconds between signs of life; a silent connection is probed, then closed. */
export const PING_MS = 20_000
/** Milliseconds after which who was refused asks again, whatever the refusal says: an hour, or one frame could silence it for good. */
export const RETRY_AFTER_MS_MAX = 60 * 60 * 1000
/** Logs one connection may follow at a time. */
export const SUBSCRIPTIONS_MAX = 10_000
/** Data entries of one log that no snapshot covers yet: what a relay must index in memory while the log is in use. */
export const UNCOVERED_ENTRIES_MAX = 4_000_000
/** Documents of one log that are not dropped: a relay knows each while the log is in use, some 2 KB of it. A library of ITEMS_MAX has two an item. */
export const DOCUMENTS_MAX = 32 * 1024
/** Bytes of a reader's socket buffer over which a relay stops reading for it. */
export const SOCKET_BUFFER_BYTES_MAX = 1024 * 1024
/** Milliseconds a reader's socket may take nothing before it is closed. */
export const STALLED_MS_MAX = 60_000

// --- Documents (packages/engine/src/documents/check.ts): what an update may hold before Yjs sees it ---

/** Structs of one update, and likewise ranges of its delete set: what 8 MiB of small edits hold, 150 MB in memory. */
export const UPDATE_STRUCTS_MAX = 1024 * 1024
/** Clocks in one struct. A value overwritten ten times a second leaves one deleted struct of 0.95 · 2^30 in 3 years. */
export const STRUCT_LENGTH_MAX = 2 ** 30
/** Clocks between what a document knows of a client and what comes: what waits is at most one such struct away. */
export const CLOCK_JUMP_MAX = 2 ** 30
/** The end of a client's clock. Yjs doubles differences of clocks when it keeps what waits; this stays exact. */
export const CLOCK_MAX = 2 ** 48
/** Sum over places of the squares of how many structs of one update contend for it: 2,048 at one place, half a second of Yjs. */
export const CONTENTION_MAX = 4 * 1024 * 1024
/** Types inside one another, and likewise values inside one value: far over any editor's, far under Yjs's recursion. */
export const NESTING_DEPTH_MAX = 128

// --- Items (packages/client/src/library) ---

/** Items of one library: the index that names them all is one document, and an app shows it at once. */
export const ITEMS_MAX = 10_000
/** Bytes of an item's kind, in UTF-8. */
export const KIND_BYTES_MAX = 64
/** Bytes of the fields that an item is made with, as JSON: they leave as one update, with room for Yjs. */
export const FIELDS_BYTES_MAX = 128 * 1024
/** Values inside one another in a field. */
export const FIELD_DEPTH_MAX = 32
