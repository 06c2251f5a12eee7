module example.org/policies

go 1.26.0

require (
	github.com/cedar-policy/cedar-go v1.9.2
	github.com/go-json-experiment/json v1.27.2
	go.yaml.in/yaml/v3 v3.0.6
)

require golang.org/x/exp v0.0.0-20220921023135-46d9e7742f1e // indirect
