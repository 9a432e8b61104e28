import { render } from 'preact'
import 'uplot/dist/uPlot.min.css'
import { App } from './app'
import { Live } from './live'
import './style.css'

const live = new Live()
render(<App live={live} />, document.getElementById('app')!)
live.start()
