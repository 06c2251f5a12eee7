package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"strings"

	cedar "github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/go-json-experiment/json/jsontext"
)

// ours makes the entities and the context that vmcp makes, by docs/authorization.md.
type ours struct {
	table    *table
	policies cedar.PolicyMap
	given    cedar.EntityMap
}

func (o ours) decide(one *entry) (bool, string) {
	claims, isObject := object(one.Claims)
	subject, isText := claims["sub"].(string)
	if !isObject || !isText || subject == "" {
		return false, " (the claims name nobody)"
	}
	var arguments map[string]any
	if one.Arguments != nil {
		// What readers could read in two ways: a name that is there twice, half a character.
		if !jsontext.Value(*one.Arguments).IsValid() {
			return false, " (the arguments cannot be read)"
		}
		arguments, _ = object(*one.Arguments)
	}
	if kind, _, _, _ := one.kind(); kind == "Resource" {
		return o.decideResource(one, subject, claims)
	}
	verdict := o.judge(one, "", subject, claims, arguments)
	return verdict.allowed(), verdict.why()
}

// A resource is judged by its URI and by the id that the reference gives it, and one that a list only has as
// a template also as the template.
func (o ours) decideResource(one *entry, subject string, claims map[string]any) (bool, string) {
	named := []*entry{one}
	if one.Resource != "" && one.Of != "" {
		template := *one
		template.Resource = one.Of
		named = append(named, &template)
	}
	var permitted, forbidden, failed bool
	var why string
	for _, each := range named {
		_, name, _, _ := each.kind()
		for _, id := range []string{name, replaced.Replace(name)} {
			verdict := o.judge(each, id, subject, claims, nil)
			permitted = permitted || verdict.permitted
			forbidden = forbidden || verdict.forbidden
			failed = failed || len(verdict.errors) > 0
			why += verdict.why()
		}
	}
	return permitted && !forbidden && !failed, why
}

// judge asks Cedar. An id stands in place of the resource's name, if there is one.
func (o ours) judge(one *entry, id, subject string, claims, arguments map[string]any) verdict {
	entities := maps.Clone(o.given)
	request := cedar.Request{
		Principal: types.NewEntityUID("Client", types.String(subject)),
		Context:   o.context(claims, arguments),
	}
	o.addCaller(entities, request.Principal, claims)
	action, resource := o.asked(one, arguments)
	if id != "" {
		resource.UID.ID = types.String(id)
	}
	request.Action, request.Resource = action.UID, resource.UID
	o.addParents(entities, one, &resource)
	entities[action.UID], entities[resource.UID] = action, resource
	return authorize(o.policies, entities, request)
}

func (o ours) context(claims, arguments map[string]any) types.Record {
	attributes := types.RecordMap{}
	ourClaims(attributes, claims)
	ourArguments(attributes, arguments)
	return types.NewRecord(attributes)
}

func (o ours) addCaller(entities cedar.EntityMap, uid types.EntityUID, claims map[string]any) {
	var parents []types.EntityUID
	for _, group := range groups(o.table, claims, true) {
		parent := types.NewEntityUID(types.EntityType(o.table.GroupEntityType), types.String(group))
		parents = append(parents, parent)
		if _, isGiven := entities[parent]; !isGiven {
			entities[parent] = cedar.Entity{UID: parent}
		}
	}
	attributes := types.RecordMap{}
	ourClaims(attributes, claims)
	entities[uid] = cedar.Entity{
		UID:        uid,
		Parents:    types.NewEntityUIDSet(parents...),
		Attributes: types.NewRecord(attributes),
	}
}

// asked are the action and the resource.
func (o ours) asked(one *entry, arguments map[string]any) (action, resource cedar.Entity) {
	attributes := types.RecordMap{}
	ourArguments(attributes, arguments)
	for hint, value := range one.Hints {
		attributes[types.String(hint+"Hint")] = types.Boolean(value)
	}
	kind, name, verb, operation := one.kind()
	attributes["name"] = types.String(name)
	attributes["operation"] = types.String(operation)
	attributes["feature"] = types.String(strings.ToLower(string(kind)))
	if kind == "Resource" {
		attributes["uri"] = types.String(name)
	}
	resource = cedar.Entity{
		UID:        types.NewEntityUID(kind, types.String(name)),
		Attributes: types.NewRecord(attributes),
	}
	action = cedar.Entity{
		UID:        types.NewEntityUID("Action", types.String(verb)),
		Attributes: types.NewRecord(types.RecordMap{"operation": types.String(verb)}),
	}
	return action, resource
}

// kind is the entity type, the name, the action and the operation.
func (e *entry) kind() (types.EntityType, string, string, string) {
	switch {
	case e.Tool != "":
		return "Tool", e.Tool, "call_tool", "call"
	case e.Prompt != "":
		return "Prompt", e.Prompt, "get_prompt", "get"
	case e.Method != "":
		return "Method", e.Method, "send_request", "send"
	case e.Template != "":
		return "Resource", e.Template, "read_resource", "read"
	default:
		return "Resource", e.Resource, "read_resource", "read"
	}
}

// addParents gives a resource the server and the backend it is of.
func (o ours) addParents(entities cedar.EntityMap, one *entry, resource *cedar.Entity) {
	server := types.NewEntityUID("MCP", types.String(o.table.Server))
	parents := []types.EntityUID{server}
	if one.Backend != "" {
		uid := types.NewEntityUID("Backend", types.String(one.Backend))
		parents = append(parents, uid)
		backend := entities[uid]
		above := []types.EntityUID{server}
		for parent := range backend.Parents.All() {
			above = append(above, parent)
		}
		backend.UID, backend.Parents = uid, types.NewEntityUIDSet(above...)
		entities[uid] = backend
	}
	resource.Parents = types.NewEntityUIDSet(parents...)
}

func ourClaims(attributes types.RecordMap, claims map[string]any) {
	for name, claim := range claims {
		if value := ourValue(claim, 0); value != nil {
			attributes[types.String("claim_"+name)] = value
		}
	}
}

func ourArguments(attributes types.RecordMap, arguments map[string]any) {
	var present []types.String
	for name, argument := range arguments {
		var value types.Value
		switch argument.(type) {
		case string, bool, json.Number:
			value = ourValue(argument, 0)
		}
		if value != nil {
			attributes[types.String("arg_"+name)] = value
			continue
		}
		present = append(present, types.String("arg_"+name+"_present"))
	}
	// These stand before an argument that is called so.
	for _, name := range present {
		attributes[name] = types.True
	}
}

// ourValue is a JSON value as Cedar's, or nil.
func ourValue(value any, depth int) types.Value {
	if depth > 10 {
		return nil
	}
	switch value := value.(type) {
	case string:
		return types.String(value)
	case bool:
		return types.Boolean(value)
	case json.Number:
		return ourNumber(value.String())
	case []any:
		var items []types.Value
		for _, item := range value {
			if item := ourValue(item, depth+1); item != nil {
				items = append(items, item)
			}
		}
		return types.NewSet(items...)
	case map[string]any:
		record := types.RecordMap{}
		for name, field := range value {
			if field := ourValue(field, depth+1); field != nil {
				record[types.String(name)] = field
			}
		}
		return types.NewRecord(record)
	}
	return nil
}

// ourNumber is a long, however the integer is written, else a decimal without what is behind its fourth place.
func ourNumber(text string) types.Value {
	number, isNumber := new(big.Rat).SetString(text)
	if !isNumber {
		return nil
	}
	if number.IsInt() && number.Num().IsInt64() {
		return types.Long(number.Num().Int64())
	}
	number.Mul(number, big.NewRat(10000, 1))
	places := new(big.Int).Quo(number.Num(), number.Denom())
	if !places.IsInt64() {
		return nil
	}
	decimal, err := types.NewDecimal(places.Int64(), -4)
	if err != nil {
		return nil
	}
	return decimal
}

// object is a text as a JSON object whose numbers are as they are written; nil if it is none.
func object(text string) (map[string]any, bool) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, false
	}
	fields, isObject := value.(map[string]any)
	return fields, isObject
}
