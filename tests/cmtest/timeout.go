//go:build !race

package cmtest

import "time"

// patience ends a hang; no test ever waits so long for something that comes.
const patience = 10 * time.Second
