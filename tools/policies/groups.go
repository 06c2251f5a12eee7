package main

import "strings"

// groups are the caller's groups. A claim that is a list, even an empty one, is the last that is looked at:
// who says that there are no groups means it.
func groups(t *table, claims map[string]any, textCounts bool) []string {
	var found []string
	for _, name := range []string{t.GroupClaim, "groups", "roles", "cognito:groups"} {
		if some, says := groupsOf(claims, name, textCounts); says {
			found = some
			break
		}
	}
	roles, _ := groupsOf(claims, t.RoleClaim, textCounts)
	return append(found, roles...)
}

// groupsOf are those of one claim, and whether it says anything about groups.
func groupsOf(claims map[string]any, name string, textCounts bool) ([]string, bool) {
	if name == "" {
		return nil, false
	}
	switch value := claimAt(claims, name).(type) {
	case []any:
		var found []string
		for _, item := range value {
			if text, isText := item.(string); isText {
				found = append(found, text)
			}
		}
		return found, true
	case string:
		if textCounts {
			return []string{value}, true
		}
	}
	return nil, false
}

// claimAt is the claim of that name, else the one that dots lead to.
func claimAt(claims map[string]any, name string) any {
	if value, isThere := claims[name]; isThere {
		return value
	}
	var current any = claims
	for _, part := range strings.Split(name, ".") {
		fields, isObject := current.(map[string]any)
		if !isObject {
			return nil
		}
		current = fields[part]
	}
	return current
}
