// Expressions evaluates the corpus of CEL expressions by cel-go, and says where a case says otherwise.
//
//	expressions FILE
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"cel.dev/cel-go/cel"
	"go.yaml.in/yaml/v3"
)

type table struct {
	Claims string
	Cases  []struct {
		Expression string
		// true, false, other (a value that is neither), error, or refused: what vmcp does not take.
		Is string
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: expressions FILE")
		os.Exit(2)
	}
	text, err := os.ReadFile(os.Args[1])
	stop(err)
	var tables []table
	stop(yaml.Unmarshal(text, &tables))
	// As the reference makes it.
	env, err := cel.NewEnv(cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)))
	stop(err)
	cases, wrong := 0, 0
	for _, table := range tables {
		var claims map[string]any
		stop(json.Unmarshal([]byte(table.Claims), &claims))
		for _, one := range table.Cases {
			cases++
			if is := evaluate(env, one.Expression, claims); one.Is != "refused" && is != one.Is {
				wrong++
				fmt.Printf("%s: the case says %s; cel-go says %s\n", one.Expression, one.Is, is)
			}
		}
	}
	fmt.Printf("%d expressions, %d wrong\n", cases, wrong)
	if wrong > 0 {
		os.Exit(1)
	}
}

func evaluate(env *cel.Env, expression string, claims map[string]any) string {
	ast, issues := env.Compile(expression)
	if issues != nil && issues.Err() != nil {
		return "error"
	}
	program, err := env.Program(ast)
	if err != nil {
		return "error"
	}
	value, _, err := program.Eval(map[string]any{"claims": claims})
	if err != nil {
		return "error"
	}
	switch value.Value() {
	case true:
		return "true"
	case false:
		return "false"
	}
	return "other"
}

func stop(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
