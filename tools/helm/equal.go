package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"

	"sigs.k8s.io/yaml"
)

// What is compared of objects: all but the times and tools that labels and annotations tell of.
// Labels that select pods are told by the component that they mean.
var components = map[any]string{"vmcp": "gateway", "vmcp-redis": "redis"}

type objects map[string]any

// equal fails where the objects of the manifests differ from those of the chart. The chart makes Secrets,
// for which the manifests have a command.
func equal(chart string, manifests []string) error {
	made, written := objects{}, objects{}
	if err := made.read(chart); err != nil {
		return err
	}
	for _, file := range manifests {
		if err := written.read(file); err != nil {
			return err
		}
	}
	wrong := 0
	for name := range made {
		if _, ok := written[name]; !ok {
			written[name] = nil
		}
	}
	for name, object := range written {
		if reflect.DeepEqual(made[name], object) {
			continue
		}
		wrong++
		one, _ := yaml.Marshal(made[name])
		other, _ := yaml.Marshal(object)
		fmt.Fprintf(os.Stderr, "%s differs; the chart:\n%s\nthe manifests:\n%s\n", name, one, other)
	}
	if wrong > 0 {
		return fmt.Errorf("%d objects differ", wrong)
	}
	return nil
}

var between = regexp.MustCompile(`(?m)^---$`)

func (all objects) read(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, part := range between.Split(string(text), -1) {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(part), &object); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if object == nil || object["kind"] == "Secret" {
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		all[fmt.Sprintf("%v %v", object["kind"], metadata["name"])] = plain(object)
	}
	return nil
}

// plain is a value without what may differ.
func plain(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = plain(value[i])
		}
	case map[string]any:
		if component, ok := value["app.kubernetes.io/component"]; ok {
			return component
		}
		if component, ok := components[value["app"]]; ok && len(value) == 1 {
			return component
		}
		delete(value, "annotations")
		for key := range value {
			value[key] = plain(value[key])
		}
		if text, ok := value["config.yaml"].(string); ok {
			var config any
			if yaml.Unmarshal([]byte(text), &config) == nil {
				value["config.yaml"] = config
			}
		}
	}
	return value
}
