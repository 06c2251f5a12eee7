// The official Go SDK as a client and as a server, by default and held to the legacy era.
//
//	pairings client [legacy]
//	pairings server NAME http PORT|stdio [legacy]
package main

import (
	"fmt"
	"os"
)

func main() {
	arguments := os.Args[1:]
	isLegacy := arguments[len(arguments)-1] == "legacy"
	var failed error
	switch arguments[0] {
	case "client":
		failed = answerJobs(os.Stdin, os.Stdout, isLegacy)
	case "server":
		failed = serve(arguments[1], arguments[2:], isLegacy)
	default:
		failed = fmt.Errorf("neither client nor server: %s", arguments[0])
	}
	if failed != nil {
		fmt.Fprintln(os.Stderr, failed)
		os.Exit(1)
	}
}
