package lake

import (
	"slices"
	"strings"

	"github.com/aitrail/aitrail/internal/cloudtrail"
)

// Clients. An SDK is "sdk/" and its language: "sdk/python".
const (
	ClientConsole        = "console"
	ClientCLI            = "cli"
	ClientTerraform      = "terraform"
	ClientOpenTofu       = "opentofu"
	ClientPulumi         = "pulumi"
	ClientCloudFormation = "cloudformation"
	ClientCDK            = "cdk"
	ClientService        = "service" // an AWS service, for the actor or by itself
	ClientBrowser        = "browser" // a browser, of which nothing says that it showed the console
	ClientOther          = "other"
)

// client tells with what program the call was made; "" when the record doesn't tell.
func (n *normalizer) client(e *cloudtrail.Event) string {
	invokedBy, service := "", false
	if u := e.UserIdentity; u != nil {
		invokedBy, service = u.InvokedBy, u.Type == "AWSService"
	}
	if invokedBy == "cloudformation.amazonaws.com" || e.UserAgent == "cloudformation.amazonaws.com" {
		return ClientCloudFormation
	}
	if invokedBy != "" || service || e.EventType == "AwsServiceEvent" && e.UserAgent == "" {
		return ClientService
	}
	agent := n.agent(e.UserAgent)
	console := e.SessionCredentialFromConsole == "true" || e.EventType == "AwsConsoleAction" || e.EventType == "AwsConsoleSignIn"
	if !console && e.Extra != "" {
		console = e.Extra.Member("sessionCredentialFromConsole").Text() == "true"
	}
	// The console's back end calls with an SDK of its own; programs in a console's shell name themselves.
	if console && (agent == "" || agent == ClientBrowser || agent == ClientService || agent == ClientOther || agent == "sdk/java") {
		return ClientConsole
	}
	return agent
}

func (n *normalizer) agent(userAgent string) string {
	if userAgent == "" {
		return ""
	}
	if c, ok := n.clients[userAgent]; ok {
		return c
	}
	c := agent(userAgent)
	if n.clients == nil || len(n.clients) >= remembered {
		n.clients = map[string]string{}
	}
	n.clients[strings.Clone(userAgent)] = c
	return c
}

// marks are texts in userAgents in lower case and the clients they tell of; the first that is found counts, so what is
// built upon something else comes before it.
var marks = []struct{ text, client string }{
	{"pulumi", ClientPulumi}, // its AWS provider is Terraform's
	{"opentofu", ClientOpenTofu},
	{"terraform", ClientTerraform},
	{"aws-cdk", ClientCDK},
	{"cloudformation", ClientCloudFormation},
	{"aws-cli/", ClientCLI},
	{"amazon cli/", ClientCLI},
	{"console", ClientConsole}, // "[S3Console/0.4, aws-internal/3 aws-sdk-java/…"
	{"boto3", "sdk/python"},
	{"botocore", "sdk/python"},
	{"aws-sdk-python", "sdk/python"},
	{"aws-sdk-go", "sdk/go"},
	{"aws-sdk-java", "sdk/java"},
	{"aws-sdk-js", "sdk/javascript"},
	{"aws-sdk-nodejs", "sdk/javascript"},
	{"aws-sdk-rust", "sdk/rust"},
	{"aws-sdk-dotnet", "sdk/dotnet"},
	{"aws-sdk-net", "sdk/dotnet"},
	{"aws-sdk-ruby", "sdk/ruby"},
	{"aws-sdk-php", "sdk/php"},
	{"aws-sdk-cpp", "sdk/cpp"},
	{"aws-sdk-kotlin", "sdk/kotlin"},
	{"aws-sdk-swift", "sdk/swift"},
	{"aws-sdk-ios", "sdk/swift"},
	{"aws-sdk-android", "sdk/java"},
	{"powershell", "sdk/powershell"},
	{"aws internal", ClientService},
	{"mozilla/", ClientBrowser},
}

// languages are names of languages in userAgents ("lang/js#", "OpenAI/JS") and in clients.
var languages = map[string]string{
	"python": "python", "js": "javascript", "javascript": "javascript", "node": "javascript", "go": "go", "java": "java",
	"rust": "rust", "ruby": "ruby", "php": "php", "dotnet": "dotnet", ".net": "dotnet", "net": "dotnet", "kotlin": "kotlin",
	"cpp": "cpp", "c++": "cpp", "swift": "swift",
}

// agent tells the client of a userAgent.
func agent(userAgent string) string {
	text := strings.ToLower(strings.Trim(userAgent, "[] "))
	if text == "" {
		return ""
	}
	if strings.HasSuffix(text, ".amazonaws.com") && !strings.Contains(text, " ") {
		return ClientService
	}
	if i := slices.IndexFunc(marks, func(m struct{ text, client string }) bool { return strings.Contains(text, m.text) }); i >= 0 {
		return marks[i].client
	}
	for _, before := range []string{"openai/", "anthropic/", "anthropicbedrock/", " lang/", "lang/"} {
		if _, after, ok := strings.Cut(text, before); ok {
			word := after[:len(after)-len(strings.TrimLeft(after, "abcdefghijklmnopqrstuvwxyz.+"))]
			if language, known := languages[word]; known {
				return "sdk/" + language
			}
		}
	}
	return ClientOther
}
