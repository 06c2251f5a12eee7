package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// theirs makes the entities and the context that the reference makes (ToolHive's vMCP): every number is a
// decimal, a text holds one policy, a single string is no group, a backend is no parent, a URI is an entity id only after characters of
// it were replaced, prompts are judged without arguments, and lists as calls without any.
type theirs struct {
	table    *table
	policies cedar.PolicyMap
	given    cedar.EntityMap
}

// firstPolicies are what the reference reads: the first policy of each text.
func firstPolicies(texts []string) (cedar.PolicyMap, error) {
	policies := cedar.PolicyMap{}
	for i, text := range texts {
		var policy cedar.Policy
		if err := policy.UnmarshalCedar([]byte(text)); err != nil {
			return nil, fmt.Errorf("policy %d: %w", i, err)
		}
		policies[cedar.PolicyID(fmt.Sprintf("policy%d", i))] = &policy
	}
	return policies, nil
}

func (t theirs) decide(one *entry) (bool, string) {
	var arguments map[string]any
	if one.Tool != "" && one.Arguments != nil {
		if err := json.Unmarshal([]byte(*one.Arguments), &arguments); err != nil {
			return false, " (the reference cannot read the arguments)"
		}
	}
	return t.judge(one, arguments)
}

func (t theirs) lists(one *entry) (bool, string) { return t.judge(one, nil) }

func (t theirs) judge(one *entry, arguments map[string]any) (bool, string) {
	var claims map[string]any
	if err := json.Unmarshal([]byte(one.Claims), &claims); err != nil {
		return false, " (the reference cannot read the claims)"
	}
	subject, _ := claims["sub"].(string)
	if subject == "" {
		return false, " (the claims name nobody)"
	}
	principal := cedar.Entity{
		UID:        types.NewEntityUID("Client", types.String(subject)),
		Attributes: record(prefixed(claims)),
	}
	var parents []types.EntityUID
	for _, group := range groups(t.table, claims, false) {
		kind := types.EntityType(t.table.GroupEntityType)
		parents = append(parents, types.NewEntityUID(kind, types.String(group)))
	}
	principal.Parents = types.NewEntityUIDSet(parents...)
	action, resource := t.asked(one, arguments)
	context := prefixed(claims)
	maps.Copy(context, scalars(arguments))

	entities := maps.Clone(t.given)
	for _, one := range []cedar.Entity{principal, action, resource} {
		entities[one.UID] = one
	}
	verdict := authorize(t.policies, entities, cedar.Request{
		Principal: principal.UID,
		Action:    action.UID,
		Resource:  resource.UID,
		Context:   record(context),
	})
	return verdict.allowed(), verdict.why()
}

// asked are the action and the resource.
func (t theirs) asked(one *entry, arguments map[string]any) (action, resource cedar.Entity) {
	kind, name, verb, operation := one.kind()
	attributes := map[string]any{}
	for hint, value := range one.Hints {
		attributes[hint+"Hint"] = value
	}
	maps.Copy(attributes, scalars(arguments))
	attributes["name"], attributes["operation"] = name, operation
	attributes["feature"] = strings.ToLower(string(kind))
	id := name
	if kind == "Resource" {
		attributes["uri"] = name
		id = replaced.Replace(name)
	}
	resource = cedar.Entity{
		UID:        types.NewEntityUID(kind, types.String(id)),
		Parents:    types.NewEntityUIDSet(types.NewEntityUID("MCP", types.String(t.table.Server))),
		Attributes: record(attributes),
	}
	action = cedar.Entity{
		UID:        types.NewEntityUID("Action", types.String(verb)),
		Attributes: record(map[string]any{"operation": verb}),
	}
	return action, resource
}

// The characters of a URI that the reference replaces.
var replaced = strings.NewReplacer(
	":", "_", "/", "_", `\`, "_", "?", "_", "&", "_", "=", "_", "#", "_", " ", "_", ".", "_",
)

func prefixed(claims map[string]any) map[string]any {
	named := map[string]any{}
	for name, value := range claims {
		named["claim_"+name] = value
	}
	return named
}

func scalars(arguments map[string]any) map[string]any {
	named := map[string]any{}
	for name, value := range arguments {
		switch value.(type) {
		case string, bool, float64:
			named["arg_"+name] = value
		default:
			named["arg_"+name+"_present"] = true
		}
	}
	return named
}

func record(fields map[string]any) types.Record { return recordAt(fields, 0) }

func recordAt(fields map[string]any, depth int) types.Record {
	values := types.RecordMap{}
	for name, field := range fields {
		if value := theirValue(field, depth); value != nil {
			values[types.String(name)] = value
		}
	}
	return types.NewRecord(values)
}

func theirValue(value any, depth int) types.Value {
	if depth > 10 {
		return nil
	}
	switch value := value.(type) {
	case string:
		return types.String(value)
	case bool:
		return types.Boolean(value)
	case float64:
		if decimal, err := types.NewDecimalFromFloat(value); err == nil {
			return decimal
		}
	case []any:
		var items []types.Value
		for _, item := range value {
			if item := theirValue(item, depth+1); item != nil {
				items = append(items, item)
			}
		}
		return types.NewSet(items...)
	case map[string]any:
		return recordAt(value, depth+1)
	}
	return nil
}
