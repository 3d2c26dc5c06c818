/** A relay that is going to be killed. Arguments: its data directory, its port (0 for any). */
import { startRelay } from '@lend/server'
import { say } from './numbers.ts'

const [data = '', port = '0'] = process.argv.slice(2)
const relay = await startRelay({ data, port: Number(port), limits: { memberAccessBurst: 1000 } })
say('ready', relay.url)
