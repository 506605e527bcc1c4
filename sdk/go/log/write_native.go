//go:build !wasip1

package log

import (
	"fmt"
	"os"
)

func write(level level, message string) {
	names := [...]string{"Debug", "Info", "Warn", "Error"}
	fmt.Fprintf(os.Stderr, "%s: %s\n", names[level], message)
}
