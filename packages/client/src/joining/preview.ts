/** Looking at a link: what it offers, before anything is accepted. */
import {
  type AccessList,
  type AccountId,
  deviceKeys,
  inviteKeys,
  LendError,
  type Link,
  openInvite,
  openPreview,
  Refusal,
  type Suite,
  same
} from '@lend/engine'
import type { AccessVisit } from '../log/visit.ts'
import { RelayConnection } from '../relay/connection.ts'
import type { Offer } from '../share/types.ts'
import type { World } from '../world.ts'
import { answerTo } from './answer.ts'
import { type LinkVisit, readLink, visitLink } from './link-visit.ts'

/** For nobody in particular: the relay is asked by a device that is made up for it. @throws LendError, see visitLink */
export async function preview(
  suite: Suite,
  world: World,
  text: string,
  o: { signal?: AbortSignal } = {}
): Promise<Offer> {
  const link = readLink(text)
  const device = deviceKeys(suite, world.dice(32))
  const connection = new RelayConnection({ url: link.relayUrl, relayKey: link.relayKey, world, suite, device })
  try {
    const at = { suite, world, link, device, connection, signal: o.signal }
    return await visitLink<AccessList, Offer>(logKind(link), at, (visit, list) => {
      const open = openInvite(list.invites, inviteKeys(suite, link.secret).id, null)
      if (open instanceof Refusal) throw open
      return offerOf({ suite, link }, visit)
    })
  } finally {
    connection.close()
  }
}

/** For an account, with what `accept` would say to it. @throws LendError, see visitLink */
export function previewFor(account: AccountId, o: LinkVisit): Promise<Offer> {
  const { id } = inviteKeys(o.suite, o.link.secret)
  return visitLink<AccessList, Offer>(logKind(o.link), o, (visit, list) => ({
    ...offerOf(o, visit),
    // A link that adds a device is for `pairDevice`.
    answer: list.kind === 'share' ? answerTo(list, account, id, o.world.now()) : 'BAD_LINK'
  }))
}

function logKind({ kind }: Link): AccessList['kind'] {
  return kind === 'share' ? 'share' : 'library'
}

function offerOf({ suite, link }: Pick<LinkVisit, 'suite' | 'link'>, visit: AccessVisit<AccessList>): Offer {
  const keys = inviteKeys(suite, link.secret)
  for (const { statement } of visit.history.records) {
    if (statement.type !== 'invite' || !same(statement.invite, keys.id)) continue
    return {
      kind: link.kind,
      ...openPreview(suite, keys, statement.preview),
      expires: new Date(statement.expiresMs),
      ...(statement.untilMs === null ? {} : { until: new Date(statement.untilMs) })
    }
  }
  // Who is in may ask by a link that is not of this share, and gets the list all the same.
  throw new LendError('INVITE_UNKNOWN', 'there is no such invite; ask for a new one')
}
