import type { Finding, Verdict } from '../verdict'
import { Icon, useCap, type Tone } from './parts'

const tones: Record<Finding['level'], Tone> = { bad: 'bad', warn: 'warn', note: 'info' }
const words: Record<Finding['level'], string> = { bad: 'Act now', warn: 'Fault', note: 'Remember' }

// VerdictView is the line to read first, with what is wrong below it.
export function VerdictView({ verdict }: { verdict: Verdict }) {
  const [findings, more] = useCap(verdict.findings, 6)
  return (
    <section class={`verdict ${verdict.level}`} aria-label="Verdict">
      <div class="line" role="status" aria-live="polite">
        <Icon tone={verdict.level} size={36} />
        <div>
          <h1>{verdict.headline}</h1>
          <p>{verdict.summary}</p>
        </div>
      </div>
      {findings.length > 0 && (
        <ul class="findings">
          {findings.map((f) => (
            <li key={`${f.level}${f.object}${f.what}`} class={f.level}>
              <Icon tone={tones[f.level]} />
              <div>
                <span class="hidden">{words[f.level]}: </span>
                <b>{f.object}</b> {f.what}
                {f.cure && <div class="cure">{f.cure}</div>}
              </div>
            </li>
          ))}
        </ul>
      )}
      {more}
    </section>
  )
}
