/** A clock that is not throttled when the tab is hidden: page timers are, workers are not. */

setInterval(() => {
  self.postMessage(0);
}, 250);
