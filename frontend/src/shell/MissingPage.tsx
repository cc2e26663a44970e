import { Link } from 'wouter'
import { texts } from '../texts'
import { Heading } from './Heading'

export function MissingPage() {
  return (
    <>
      <Heading title={texts.errors.missing} />
      <Link href="/">{texts.errors.home}</Link>
    </>
  )
}
