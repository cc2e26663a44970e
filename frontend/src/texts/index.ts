/** The texts of the page. Another language is another module of the type `Catalogue`. */
import { en } from './en'

export type Catalogue = typeof en

export const texts: Catalogue = en
