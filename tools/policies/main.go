// Policies decides the corpus of cases by Cedar's Go implementation, and says what differs.
//
//	policies FOLDER
package main

import (
	"fmt"
	"os"

	cedar "github.com/cedar-policy/cedar-go"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: policies FOLDER")
		os.Exit(2)
	}
	tables, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var judge judge
	for _, one := range tables {
		judge.table(one)
	}
	for _, one := range judge.wrong {
		fmt.Println(one)
	}
	fmt.Printf("%d cases in %d tables; the reference decides or lists %d otherwise, as noted\n",
		judge.cases, len(tables), judge.different)
	if len(judge.wrong) > 0 {
		fmt.Printf("%d are wrong\n", len(judge.wrong))
		os.Exit(1)
	}
}

type judge struct {
	wrong            []string
	cases, different int
}

func (j *judge) table(t *table) {
	policies, err := allPolicies(t.Policies)
	if err != nil {
		j.says(t, nil, "Cedar cannot read the policies: %v", err)
		return
	}
	entities, err := givenEntities(t.Entities)
	if err != nil {
		j.says(t, nil, "Cedar cannot read the entities: %v", err)
		return
	}
	theirPolicies, err := firstPolicies(t.Policies)
	if err != nil {
		j.says(t, nil, "the reference cannot read the policies: %v", err)
		return
	}
	ours := ours{t, policies, entities}
	theirs := theirs{t, theirPolicies, entities}
	for _, one := range t.Cases {
		j.cases++
		j.byOurs(t, one, ours)
		// The reference passes on no method that it does not know.
		if one.Method == "" {
			j.byTheirs(t, one, theirs)
		}
	}
	j.lists(t)
}

// byOurs compares a decision with Cedar's, by the entities that vmcp makes.
func (j *judge) byOurs(t *table, one *entry, ours ours) {
	if one.Template != "" {
		return
	}
	allowed, why := ours.decide(one)
	if word(allowed) != one.Decision {
		j.says(t, one, "the case says %s; Cedar in Go says %s with vmcp's entities%s",
			one.Decision, word(allowed), why)
	}
}

// byTheirs compares a decision and a list with Cedar's, by the entities that the reference makes.
func (j *judge) byTheirs(t *table, one *entry, theirs theirs) {
	decision, list := one.Decision, one.List
	if one.Reference != nil {
		j.different++
		if one.Reference.Decision != "" {
			decision = one.Reference.Decision
		}
		if one.Reference.List != "" {
			list = one.Reference.List
		}
		if decision == one.Decision && list == one.List {
			j.says(t, one, "the reference does the same, so take `reference` out")
		}
	}
	if one.Template == "" {
		allowed, why := theirs.decide(one)
		if word(allowed) != decision {
			j.says(t, one, "the case says %s of the reference; Cedar in Go says %s with its entities%s",
				decision, word(allowed), why)
		}
	}
	if list != "" {
		shown, why := theirs.lists(one)
		if (list == "shown") != shown {
			j.says(t, one, "the case says %s of the reference; Cedar in Go says the contrary with its entities%s",
				list, why)
		}
	}
}

// lists checks that nothing is hidden that some case allows to the same caller.
func (j *judge) lists(t *table) {
	for _, hidden := range t.Cases {
		for _, one := range t.Cases {
			if hidden.List == "hidden" && one.Decision == "allow" && hidden.sameObject(one) {
				j.says(t, hidden, "it is hidden, and yet %q is allowed", one.Case)
			}
		}
	}
}

// sameObject is whether what is allowed of the one must not be hidden by the other.
func (e *entry) sameObject(other *entry) bool {
	if e.Claims != other.Claims || e.Backend != other.Backend {
		return false
	}
	if e.Template != "" && other.Resource != "" {
		return e.Template == other.Of
	}
	same := e.Tool == other.Tool && e.Prompt == other.Prompt && e.Resource == other.Resource &&
		e.Method == other.Method && e.Template == other.Template && e.Of == other.Of
	return same && fmt.Sprint(e.Hints) == fmt.Sprint(other.Hints)
}

func (j *judge) says(t *table, one *entry, format string, values ...any) {
	where := t.file + ": " + t.About
	if one != nil {
		where += " / " + one.Case
	}
	j.wrong = append(j.wrong, where+": "+fmt.Sprintf(format, values...))
}

// allPolicies reads every policy of every text, in order.
func allPolicies(texts []string) (cedar.PolicyMap, error) {
	all := cedar.PolicyMap{}
	for _, text := range texts {
		list, err := cedar.NewPolicyListFromBytes("", []byte(text))
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			all[cedar.PolicyID(fmt.Sprintf("policy%d", len(all)))] = one
		}
	}
	return all, nil
}

func givenEntities(text string) (cedar.EntityMap, error) {
	entities := cedar.EntityMap{}
	if text == "" {
		return entities, nil
	}
	return entities, entities.UnmarshalJSON([]byte(text))
}

// authorize is Cedar's decision; any error denies.
func authorize(policies cedar.PolicyMap, entities cedar.EntityMap, request cedar.Request) verdict {
	decision, diagnostic := cedar.Authorize(policies, entities, request)
	return verdict{
		permitted: decision == cedar.Allow,
		forbidden: decision == cedar.Deny && len(diagnostic.Reasons) > 0,
		errors:    diagnostic.Errors,
	}
}

type verdict struct {
	permitted, forbidden bool
	errors               []cedar.DiagnosticError
}

func (v verdict) allowed() bool { return v.permitted && len(v.errors) == 0 }

func (v verdict) why() string {
	if len(v.errors) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s: %s)", v.errors[0].PolicyID, v.errors[0].Message)
}

func word(allowed bool) string {
	if allowed {
		return "allow"
	}
	return "deny"
}
