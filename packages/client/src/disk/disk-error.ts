/** The disk's trouble, whatever the platform calls it. */
import { LendError } from '@lend/engine'

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** In the words of errors.ts, the original as its cause; as it is when there are no better words. */
export function diskError(error: unknown): unknown {
  if (error instanceof LendError) return error
  const codes = [codeOf(error), error instanceof Error ? codeOf(error.cause) : undefined]
  const text =
    error instanceof Error ? `${error.message} ${error.cause instanceof Error ? error.cause.message : ''}` : ''
  if (codes.includes('LEVEL_LOCKED')) {
    return new LendError('ALREADY_OPEN', 'this account is open in another process; close it there first', {
      cause: error
    })
  }
  if (codes.includes('ENOSPC') || isQuota(error) || /no space left/i.test(text)) {
    return new LendError('DISK_FULL', 'the disk is full; free some space and try again', {
      retry: 'later',
      cause: error
    })
  }
  if (codes.some(code => code === 'EACCES' || code === 'EPERM' || code === 'EROFS')) {
    return new LendError('NO_PERMISSION', 'the account’s folder may not be written; check its owner and mode', {
      cause: error
    })
  }
  if (codes.includes('LEVEL_CORRUPTION') || /corruption/i.test(text)) {
    return new LendError('STORE_CORRUPT', 'a database of this account is damaged', { cause: error })
  }
  return error
}

/** What a browser says when its quota is used up. */
function isQuota(error: unknown): boolean {
  return error instanceof Error && [error, error.cause].some(e => e instanceof Error && e.name === 'QuotaExceededError')
}

/** Whatever was thrown, as an app is told it. */
export function asLendError(error: unknown): LendError {
  const known = diskError(error)
  if (known instanceof LendError) return known
  return new LendError('STORE_CORRUPT', 'something on this device broke', { cause: error })
}
