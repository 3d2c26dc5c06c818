/** What relays, clients and tests use of the engine; nobody inside the engine imports this file. */
export { foldProof, sinceReset } from './access/account-proof.ts'
export {
  authorAccount,
  authorInvite,
  authorJoin,
  authorRemoval,
  authorShare,
  isAccountDue
} from './access/authoring.ts'
export { epochKeys, type KeyHolder, type LibraryKeyHolder, libraryEpochKeys } from './access/epoch-keys.ts'
export {
  decodeLink,
  encodeLink,
  type Invite,
  type InviteKeys,
  inviteKeys,
  type Link,
  openInvite
} from './access/invite.ts'
export { openInvites } from './access/invites.ts'
export {
  accountSealingKeys,
  commitment,
  type DeviceKeys,
  dataKey,
  deviceKeys,
  membershipProofParts,
  openName,
  rootKeys,
  sealName
} from './access/keys.ts'
export {
  authorDeviceJoin,
  authorDeviceRemoval,
  authorLibrary,
  authorReset
} from './access/library-authoring.ts'
export {
  accountOfRootKey,
  type Device,
  foldLibrary,
  type Judge,
  joinProofParts,
  type LibraryList
} from './access/library-list.ts'
export { openPreview, type Preview } from './access/preview.ts'
export {
  type FormerMember,
  foldShare,
  invitesVoidedBy,
  type Membership,
  ownerLibrary,
  type ShareList,
  shareLogId
} from './access/share-list.ts'
export { type AccessList, copyList, type Standing, standingOf, writers } from './access/standing.ts'
export {
  decodeStatement,
  encodeStatement,
  REASONS,
  type Reason,
  type Seal,
  STATEMENT_NUMBERS,
  type Statement
} from './access/statement.ts'
export {
  type AccountId,
  accountId,
  type DeviceId,
  type DocumentId,
  deviceId,
  documentId,
  type EntryId,
  entryId,
  hex,
  type Incarnation,
  type InviteId,
  incarnation,
  inviteId,
  type LogId,
  logId,
  NO_DOCUMENT,
  SHARE_DOCUMENT,
  same,
  short
} from './bytes/ids.ts'
export { Reader } from './bytes/reader.ts'
export { concat, Writer } from './bytes/writer.ts'
export { pad, paddedBytes, unpad } from './crypto/padding.ts'
export { type Dice, type KeyPair, type Label, loadSuite, SEALED_BYTES, type Suite } from './crypto/suite.ts'
export { applyEntry } from './documents/apply.ts'
export { boundDocument } from './documents/bound.ts'
export { applyChecked, checkUpdate } from './documents/check.ts'
export { type DocumentGuard, guardDocument, selfTestGuard } from './documents/guard.ts'
export { bring, difference, lacking } from './documents/mirror.ts'
export { type Cover, coversOf, openContent, sealSnapshot, sealUpdate } from './entry/content.ts'
export {
  decodeEntry,
  type Entry,
  encodeHeader,
  HEADER_BYTES,
  type Header,
  KINDS,
  type Kind,
  PAYLOAD_BYTES_MAX,
  SIGNATURE_BYTES,
  signEntry,
  VERSION,
  verifyEntry
} from './entry/entry.ts'
export { type ErrorCode, LendError, ReadOnlyError, type Retry } from './errors.ts'
export * as limits from './limits.ts'
export {
  decodeHead,
  encodeHead,
  HEAD_BYTES,
  type Head,
  nextRunningHash,
  ownHead,
  RUNNING_HASH_START
} from './log/head.ts'
export { AccessHistory, type AccessRecord } from './log/history.ts'
export { contradicts, coverUpTo, hasGap, holds, type Position, reach, START } from './log/position.ts'
export {
  emptyLog,
  foldStored,
  type LogState,
  type Place,
  type Step,
  type StoredPlace,
  step,
  topOf
} from './log/step.ts'
export { Trail } from './log/trail.ts'
export {
  type Ack,
  type Append,
  type Cursor,
  decodeFrame,
  type Entries,
  encodeFrame,
  type Follow,
  type Following,
  FRAME_NUMBERS,
  type Frame,
  type Offer,
  type Placed,
  PROTOCOL_VERSION,
  type Ready,
  type Receipts,
  type ReceiptsStored,
  type Refused,
  STANDINGS
} from './protocol/frames.ts'
export {
  type Nonces,
  signGreeting,
  signPeek,
  signSession,
  verifyGreeting,
  verifyPeek,
  verifySession
} from './protocol/handshake.ts'
export {
  RECEIPT_REASONS,
  type Receipt,
  type ReceiptReason,
  readReceipt,
  signReceipt,
  verifyReceipt,
  writeReceipt
} from './protocol/receipt.ts'
export { REFUSALS, Refusal, type RefusalCode, refusalCode, refusalNumber, refuse } from './refusal.ts'
export { type ClientEffect, ClientSession, type Delivery } from './session/client-session.ts'
export { type RelayEffect, RelaySession, type Request } from './session/relay-session.ts'
