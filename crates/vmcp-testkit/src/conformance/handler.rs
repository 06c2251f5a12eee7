//! What the conformance fixture answers to each method.

use std::{borrow::Cow, sync::Arc};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
        CompleteResult, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
        InitializeResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams,
        ReadResourceResponse, SetLevelRequestMethod, SetLevelRequestParams, SubscribeRequestParams,
        SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, SubscriptionContext},
};
use serde_json::{Value, json};

use super::{
    Context, Era, Fixture, Part, definitions, is_modern, lasting, lock, questions, result,
    server_info, typed,
};

impl ServerHandler for Fixture {
    fn get_info(&self) -> InitializeResult {
        let mut info = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"subscribe": true, "listChanged": true},
                "prompts": {"listChanged": true},
                "logging": {},
                "completions": {},
            },
            "serverInfo": server_info(),
        });
        if self.era != Era::Legacy {
            info["capabilities"]["extensions"] = json!({"io.modelcontextprotocol/tasks": {}});
        }
        typed(info)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.versions()
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.shared.listeners.add_session(context.peer, Arc::clone(&self.session));
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(lasting(&context, json!({"tools": self.tools()})))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.tools().iter().any(|tool| tool["name"] == *request.name) {
            return Err(ErrorData::invalid_params(format!("unknown tool: {}", request.name), None));
        }
        self.call(&request, &context).await
    }

    /// rmcp checks the headers that a tool's schema asks for against this.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools().into_iter().find(|tool| tool["name"] == name).map(typed)
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resources = self.part.share(definitions::resources());
        Ok(lasting(&context, json!({"resources": resources})))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = if self.part == Part::A { Vec::new() } else { definitions::templates() };
        Ok(lasting(&context, json!({"resourceTemplates": templates})))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let listed = self.part.share(definitions::resources());
        let content = if listed.iter().any(|resource| resource["uri"] == request.uri) {
            definitions::content(&request.uri)
        } else if self.part == Part::A {
            None
        } else {
            definitions::template_content(&request.uri)
        };
        let Some(content) = content else {
            let uri = json!({"uri": request.uri});
            return Err(ErrorData::resource_not_found("Resource not found", Some(uri)));
        };
        Ok(ReadResourceResponse::Complete(lasting(&context, json!({"contents": [content]}))))
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: Context,
    ) -> Result<(), ErrorData> {
        lock(&self.session.subscriptions).insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: Context,
    ) -> Result<(), ErrorData> {
        lock(&self.session.subscriptions).remove(&request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        (self.era != Era::Legacy).then(|| requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let _listening = self.shared.listeners.add_subscription(subscription.sink().clone());
        subscription.cancelled().await;
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(lasting(&context, json!({"prompts": self.prompts(is_modern(&context))})))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        // In the legacy era the prompt that asks is there, but is not listed.
        if !self.prompts(true).iter().any(|prompt| prompt["name"] == request.name) {
            let message = format!("unknown prompt: {}", request.name);
            return Err(ErrorData::invalid_params(message, None));
        }
        if let Some(script) = questions::of_prompt(&request.name) {
            let answers = request.input_responses.unwrap_or_default();
            return script.run(&context, answers, request.request_state).await.map(Into::into);
        }
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let messages = definitions::messages(&request.name, &arguments);
        Ok(GetPromptResponse::Complete(result(&context, json!({"messages": messages}))))
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: Context,
    ) -> Result<CompleteResult, ErrorData> {
        let words = ["paris", "park", "party", "prague"];
        let values: Vec<_> =
            words.iter().filter(|word| word.starts_with(&request.argument.value)).collect();
        let completion = json!({"values": values, "total": values.len(), "hasMore": false});
        Ok(result(&context, json!({"completion": completion})))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: Context,
    ) -> Result<(), ErrorData> {
        // rmcp leaves it to the handler to know that the modern era no longer has this.
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        *lock(&self.session.level) = Some(request.level);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: Context,
    ) -> Result<GetTaskResult, ErrorData> {
        let task = self.shared.tasks.get_task(&request.task_id)?;
        Ok(result(&context, json!(GetTaskResult::new(task))))
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.shared.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.shared.tasks.cancel_task(&request.task_id)
    }
}
