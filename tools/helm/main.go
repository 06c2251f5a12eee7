// Helm's own command line, of the version in go.mod, and one command more:
//
//	helm equal CHART MANIFESTS...   fails where a rendered chart does not say what manifests say
package main

import (
	"os"

	"github.com/spf13/cobra"
	"helm.sh/helm/v4/pkg/cmd"
)

func main() {
	root, err := cmd.NewRootCmd(os.Stdout, os.Args[1:], cmd.SetupLogging)
	if err == nil {
		root.AddCommand(&cobra.Command{
			Use:  "equal",
			Args: cobra.MinimumNArgs(2),
			RunE: func(_ *cobra.Command, files []string) error { return equal(files[0], files[1:]) },
		})
		err = root.Execute()
	}
	// A command that fails has said why.
	if err != nil {
		os.Exit(1)
	}
}
